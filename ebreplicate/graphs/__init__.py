"""Graph convolutional networks on citation graphs: data, network, ADMM graph search, joint search, retraining (GEBT)."""
