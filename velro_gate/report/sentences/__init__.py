"""One module of sentences a kind of finding, and ``words`` for all of them."""
