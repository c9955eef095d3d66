"""The one exception that means: the input is wrong, and here is how to mend it."""


class InputError(ValueError):
    """Bad input. Its text names the file, the variable, what was expected and how to mend it.

    The command line prints it in one to three lines and ends with exit status 2.
    """
