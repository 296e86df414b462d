"""Models: how they are stored, and the networks that training and scoring share."""
