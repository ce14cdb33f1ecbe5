"""subprocess and multiprocessing, by fork and by spawn."""
import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys


def square(n):
    return n * n


def put(queue, n):
    queue.put((n, os.getppid() != os.getpid()))


def add(value, lock, times):
    for _ in range(times):
        with lock:
            value.value += 1


def answer(connection):
    while (question := connection.recv()) is not None:
        connection.send(question[::-1])


def processes(method):
    context = multiprocessing.get_context(method)
    with context.Pool(3) as pool:
        print(method, pool.map(square, range(10)), pool.apply(square, (12,)))
    queue = context.Queue()
    children = [context.Process(target=put, args=(queue, n)) for n in range(4)]
    for child in children:
        child.start()
    print(sorted(queue.get() for _ in children))
    for child in children:
        child.join()
    print([child.exitcode for child in children])
    value, lock = context.Value("i", 0), context.Lock()
    children = [context.Process(target=add, args=(value, lock, 200)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(value.value)
    ours, theirs = context.Pipe()
    child = context.Process(target=answer, args=(theirs,))
    child.start()
    ours.send("stressed")
    print(ours.recv())
    ours.send(None)
    child.join()
    victim = context.Process(target=signal.pause)
    victim.start()
    victim.kill()
    victim.join()
    print(victim.exitcode)


def programs():
    python = sys.executable
    run = subprocess.run([python, "-c", "import sys; print(sys.stdin.read().upper()); sys.exit(3)"],
                         input="text", capture_output=True, text=True)
    print(run.returncode, run.stdout)
    first = subprocess.Popen([python, "-c", "for n in range(1000): print(n)"], stdout=subprocess.PIPE)
    second = subprocess.Popen([python, "-c", "import sys; print(sum(map(int, sys.stdin)))"],
                              stdin=first.stdout, stdout=subprocess.PIPE, text=True)
    first.stdout.close()
    print(second.communicate()[0], first.wait())
    try:
        subprocess.run([python, "-c", "import time; time.sleep(100)"], timeout=0.1)
    except subprocess.TimeoutExpired:
        print("timeout")
    try:
        subprocess.run(["/absent"])
    except FileNotFoundError as error:
        print(error.errno)
    ended = subprocess.Popen([python, "-c", "import os; os.abort()"], stderr=subprocess.DEVNULL)
    print(ended.wait())
    inherited, given = os.pipe()
    os.write(given, b"over a descriptor")
    code = f"import os; print(os.read({inherited}, 100), os.getpgid(0) == os.getpid())"
    print(subprocess.check_output([python, "-c", code], pass_fds=[inherited], start_new_session=True))
    print(subprocess.check_output([python, "-c", "import os; print(os.getcwd(), dict(os.environ))"],
                                  cwd="/usr", env={"ONLY": "this"}))


if __name__ == "__main__":
    programs()
    for method in sys.argv[1:]:
        processes(method)
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        print(list(pool.map(square, range(5))))
    child = os.fork()
    if child == 0:
        os._exit(9)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
