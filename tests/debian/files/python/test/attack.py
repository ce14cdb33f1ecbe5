# A service that means harm: does the one thing that its first argument names,
# as far as it can, and prints what it was answered.
import errno, http.client, json, os, socket, sys, threading

configuration = json.load(open("/__config__"))
token = {configuration["gateway"]["token_header"]: configuration["token"]}


def call(method, path, body=None, headers=token):
    """What the gateway answers: the status, and the code of the problem if it is one."""
    connection = http.client.HTTPConnection("gateway")
    headers = dict(headers)
    if body is not None:
        body = json.dumps(body)
        headers["Content-Type"] = "application/json"
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    answer = json.loads(text) if text.startswith((b"{", b"[")) else {}
    return response.status, answer


def said(what, status, answer):
    print(what, status, answer.get("code", "-") if isinstance(answer, dict) else len(answer))


def reach(host_port):
    """Connects to whatever may be there."""
    targets = [
        ("127.0.0.1", int(host_port)),
        ("::1", int(host_port)),
        ("10.0.0.3", int(host_port)),
        ("10.1.0.1", 8000),
        ("10.2.0.1", 8000),
        ("10.0.0.1", int(host_port)),
        ("169.254.169.254", 80),
        ("192.0.2.1", 80),
        ("255.255.255.255", 80),
        ("2001:db8::1", 80),
        ("fd00::1:1", 8000),
    ]
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for host, port in targets:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            probe = socket.socket(family, kind)
            try:
                probe.connect((host, port))
                if kind == socket.SOCK_DGRAM:
                    probe.send(b"anyone?")
                    # A refusal that came back shows with the next call.
                    probe.settimeout(5)
                    probe.recv(1)
                print(kind.name, host, "answers")
            except OSError as error:
                print(kind.name, host, errno.errorcode.get(error.errno, error))
            probe.close()


def verbs(victim):
    """Asks for what is not its own."""
    said("stop", *call("DELETE", f"/v1/instances/{victim}"))
    said("look", *call("GET", f"/v1/instances/{victim}"))
    said("logs", *call("GET", f"/v1/instances/{victim}/logs"))
    said("limit", *call("PATCH", f"/v1/instances/{victim}/resources", {"memory": 1 << 20}))
    said("grant", *call("PUT", f"/v1/instances/{configuration['instance']}/networks/chat"))
    said("allow", *call("PUT", "/v1/networks", {"network": {"tags": ["chat"]}}))
    said("token", *call("POST", "/v1/tokens", {"client": "mallory"}))
    said("import", *call("POST", "/v1/services", {}))
    said("remove", *call("DELETE", "/v1/services/victim"))
    said("collect", *call("POST", "/v1/collect"))
    said("start", *call("POST", "/v1/instances", {"service": "victim"}))
    said("others", *call("GET", "/v1/instances"))
    said("without token", *call("GET", "/v1/instances", headers={}))
    said("with origin", *call("GET", "/v1/instances", headers={**token, "Origin": "http://x"}))
    said("as another host", *call("GET", "/v1/instances", headers={**token, "Host": "localhost"}))
    flipped = {name: text[:-1] + ("A" if text[-1] != "A" else "B") for name, text in token.items()}
    said("forged", *call("GET", "/v1/instances", headers=flipped))


def children(_):
    """Starts children until it is told to stop."""
    for count in range(10_000):
        status, answer = call("POST", "/v1/instances", {"service": "child"})
        if status >= 300:
            print("children", count)
            said("refused", status, answer)
            return


def starts(count):
    """Starts children from many threads at once."""
    answers = []

    def one():
        status, answer = call("POST", "/v1/instances", {"service": "child"})
        answers.append((status, answer.get("code"), "retry_after_ms" in answer))

    kept = [threading.Thread(target=one) for _ in range(int(count))]
    for thread in kept:
        thread.start()
    for thread in kept:
        thread.join()
    started = answers.count((201, None, False))
    refused = answers.count((429, "too-often", True))
    print("started", started, "refused", refused, "otherwise", len(answers) - started - refused)


def streams(_):
    """Opens connections to the gateway and keeps them."""
    kept = []
    try:
        for _ in range(10_000):
            kept.append(socket.create_connection(("gateway", 80)))
    except OSError as error:
        print("streams", len(kept), errno.errorcode[error.errno])


def events(count):
    """Makes as many events as it can."""
    refused = 0
    for number in range(int(count)):
        try:
            socket.create_connection(("192.0.2.1", 1 + number % 65535))
        except OSError:
            refused += 1
    print("refused", refused)


def logs(count):
    """Prints without end."""
    line = "x" * 1023 + "\n"
    for _ in range(int(count)):
        sys.stdout.write(line)
    print("the last line")


def descriptors(_):
    kept = []
    try:
        while True:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        code = errno.errorcode[error.errno]
    for descriptor in kept:
        os.close(descriptor)
    print("descriptors", code)


def threads(_):
    gate = threading.Event()
    kept = []
    try:
        while True:
            thread = threading.Thread(target=gate.wait)
            thread.start()
            kept.append(thread)
    except (RuntimeError, MemoryError):
        pass
    gate.set()
    for thread in kept:
        thread.join()
    print("threads", 100 < len(kept) < 5000)


def memory(_):
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


def files(_):
    """Fills what it may write."""
    try:
        with open("/tmp/full", "wb") as file:
            while True:
                file.write(bytes(1 << 20))
    except OSError as error:
        print("files", errno.errorcode[error.errno])


def without_end(kind):
    """Does one thing again and again, until it is stopped."""
    print("attacking", flush=True)
    while True:
        if kind == "spins":
            sum(range(100_000))
        elif kind == "takes":
            bytearray(32 << 20)
        elif kind == "prints":
            print("attacking " + "x" * 1000)
        elif kind == "connects":
            socket.socket().connect_ex(("192.0.2.1", 80))
        elif kind == "spawns":
            _, child = call("POST", "/v1/instances", {"service": "child"})
            call("DELETE", f"/v1/instances/{child['id']}")
        elif kind == "crashes":
            call("POST", "/v1/instances", {"service": "broken"})


globals()[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else None)
