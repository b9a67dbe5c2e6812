"""RigL's own experiment on MNIST (Evci et al., ICML 2020, appendix B, Table 2, Figure 7)."""
