"""What acts while a run trains: on the order of the rows, on the loss, on the rates, and on when it ends."""
