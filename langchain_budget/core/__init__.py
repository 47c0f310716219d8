"""The rules of money: pure values and functions, with no input or output."""
