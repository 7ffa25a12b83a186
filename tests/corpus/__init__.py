"""A corpus of mistakes, as data: how each input is made, the command that meets it, and the sentence that answers."""
