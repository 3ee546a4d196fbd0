"""Several devices and machines that train one run together: how their processes are started, and what they share."""
