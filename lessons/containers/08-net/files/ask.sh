#!/bin/bash
# Asks the server outside with which address it sees who asks.
cat < /dev/tcp/203.0.113.80/7
