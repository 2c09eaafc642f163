"""A desktop daemon that suggests files while a person types and chats about them.

Nothing is opened, read or started by importing this package.
"""

__version__ = "0.1.0"
