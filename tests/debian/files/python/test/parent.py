# A parent: starts three children, sends MiB bytes through each of them at the
# same time, and compares what they answer.
import hashlib, http.client, json, socket, sys, threading

mebibytes = int(sys.argv[1])
configuration = json.load(open("/__config__"))
header = {configuration["gateway"]["token_header"]: configuration["token"]}


def call(method, path, body=None):
    connection = http.client.HTTPConnection("gateway")
    headers = dict(header)
    if body is not None:
        body = json.dumps(body)
        headers["Content-Type"] = "application/json"
    connection.request(method, "/v1" + path, body, headers)
    response = connection.getresponse()
    assert response.status < 300, (response.status, response.read())
    return response


def work(number, results):
    name = f"worker{number}"
    child = json.load(call("POST", "/instances", {"service": "worker", "name": name}))
    # It says when it listens.
    for line in call("GET", f"/instances/{child['id']}/logs?follow=true"):
        if "listening" in json.loads(line)["text"]:
            break
    print(name, "listens", flush=True)
    block = bytes((number + i) % 251 for i in range(1 << 20))
    digest = hashlib.sha256()
    stream = socket.create_connection((name, 7000))
    for _ in range(mebibytes):
        stream.sendall(block)
        digest.update(block)
    stream.shutdown(socket.SHUT_WR)
    answer = stream.makefile().read()
    results[number] = answer == digest.hexdigest()
    if number == 2:
        call("DELETE", f"/instances/{child['id']}")


results = {}
threads = [threading.Thread(target=work, args=(number, results)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("right answers:", sum(results.values()), flush=True)
