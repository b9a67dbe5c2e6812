"""Graph convolutional networks on citation graphs: data, network, graph search, joint search, retraining (GEBT)."""
