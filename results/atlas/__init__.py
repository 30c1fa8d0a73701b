"""The atlas: a finished run as a folder of pages that open from a file, without a server, a network or a program."""
