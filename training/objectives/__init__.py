"""What is minimised: one file for each way of describing a style, each with one readable `step`."""
