"""How to talk to brokers: conversations, the shell that holds them, and what their replies mean."""
