"""Weight agnostic networks (Gaier & Ha, NeurIPS 2019): a room of its own, in numpy. No torch.

Nothing of the suite imports it but its item; `catalog.OWN_STAGES` names it in one line.
"""
