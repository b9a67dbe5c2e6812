"""What all stages share: what they load, how they train, save, resume and rebuild. One record a run."""
