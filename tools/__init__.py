"""Tools for working on this repository: pictures of screens, and servers of tests. No product module imports them."""
