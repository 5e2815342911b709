"""The screens: the main one, and those that ask, help, or show one thing in full."""
