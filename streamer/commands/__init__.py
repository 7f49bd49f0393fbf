"""The commands, one a file. What is slow to import (torch, the server) is imported by the command that needs it."""
