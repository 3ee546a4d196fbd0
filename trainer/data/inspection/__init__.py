"""What is in the data: specialty, task, language and level of each row, and how the whole is made up."""
