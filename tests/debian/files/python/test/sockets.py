"""Sockets as programs use them: a web server and its clients, asyncio, in one process."""

import array
import asyncio
import hashlib
import http.server
import os
import select
import socket
import socketserver
import threading
import urllib.error
import urllib.request


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/missing"):
            self.answer(404, b"nothing here")
        else:
            self.answer(200, self.path.encode() * 100)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201, hashlib.sha256(body).hexdigest().encode())

    def log_message(self, *arguments):
        pass


def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    results = {}

    def client(number):
        with urllib.request.urlopen(f"{base}/client/{number}") as answer:
            results[number] = (answer.status, answer.read())

    clients = [threading.Thread(target=client, args=(n,)) for n in range(10)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    print([(n, results[n][0], len(results[n][1])) for n in sorted(results)])
    body = bytes(range(256)) * 4000
    with urllib.request.urlopen(f"{base}/post", data=body) as answer:
        print(answer.status, answer.read().decode() == hashlib.sha256(body).hexdigest())
    try:
        urllib.request.urlopen(f"{base}/missing")
    except urllib.error.HTTPError as error:
        print(error.code, error.read())
    server.shutdown()
    server.server_close()
    thread.join()
    try:
        urllib.request.urlopen(base)
    except urllib.error.URLError as error:
        print(error.reason)


async def echo(reader, writer):
    while data := await reader.read(50000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def talk(connection, size):
    reader, writer = await connection
    data = bytes(n * 7 % 251 for n in range(size))

    async def send():
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    back = await reader.read()
    await sending
    writer.close()
    return back == data


async def asynchronous():
    tcp = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    unix = await asyncio.start_unix_server(echo, "/tmp/echo")
    print(await asyncio.gather(*(talk(asyncio.open_connection("127.0.0.1", port), n * 70000) for n in range(5))))
    print(await asyncio.gather(*(talk(asyncio.open_unix_connection("/tmp/echo"), n * 70000) for n in range(5))))
    try:
        await asyncio.open_connection("127.0.0.1", 1)
    except OSError as error:
        print(error)
    tcp.close()
    unix.close()


class Datagrams(socketserver.BaseRequestHandler):
    def handle(self):
        data, sender = self.request
        sender.sendto(data.upper(), self.client_address)


def datagrams():
    with socketserver.UDPServer(("127.0.0.1", 0), Datagrams) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"shout", server.server_address)
            print(client.recvfrom(100)[0])
        server.shutdown()
        thread.join()


def across_a_fork():
    """A child gets a listening socket and a file through a Unix socket, and serves one client."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        text, files, _, _ = socket.recv_fds(theirs, 100, 5)
        with socket.socket(fileno=files[0]) as listening:
            connection, _ = listening.accept()
            connection.sendall(text + os.read(files[1], 100))
        os._exit(0)
    theirs.close()
    with socket.create_server(("127.0.0.1", 0)) as listening, open("/tmp/passed", "w+b") as file:
        file.write(b"file")
        file.flush()
        file.seek(0)
        socket.send_fds(ours, [b"message and "], [listening.fileno(), file.fileno()])
        with socket.create_connection(listening.getsockname()) as client:
            print(client.makefile("rb").read())
    print(os.waitpid(child, 0)[1])


def non_blocking():
    listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    client = socket.socket(socket.AF_INET6)
    client.setblocking(False)
    print(client.connect_ex(listening.getsockname()) != 0)
    print(len(select.select([listening], [], [])[0]), len(select.select([], [client], [])[1]))
    print(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    server, _ = listening.accept()
    client.send(b"now")
    print(server.recv(10), array.array("i", [server.fileno() > 0]))


web()
asyncio.run(asynchronous())
datagrams()
across_a_fork()
non_blocking()
