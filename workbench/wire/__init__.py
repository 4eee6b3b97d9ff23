"""The providers' wire protocols, both directions, without any input or output of their own."""
