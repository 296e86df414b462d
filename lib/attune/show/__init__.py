"""What notebooks show: pandas frames from the tables of a workspace, and figures drawn from them."""
