"""Ways to start the ranks of a training, one file each; each gives the results of the ranks or raises."""
