#!/usr/bin/python3
"""Tells who connects to port 7 which address it sees, and writes it into the file `visitor`."""

import pathlib
import socket

server = socket.create_server(("", 7))
while True:
    connection, (address, _) = server.accept()
    pathlib.Path("visitor").write_text(address)
    connection.sendall(f"You come from {address}.\n".encode())
    connection.close()
