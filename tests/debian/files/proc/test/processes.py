"""What /proc tells of processes in known states, in a form that does not depend on the machine."""

import ctypes
import functools
import os
import re
import resource
import select
import signal
import socket
import struct
import threading
import time

SELF = "/proc/self/"
# Children write too, and end without a flush.
print = functools.partial(print, flush=True)


def read(path, mode="r"):
    with open(path, mode) as file:
        return file.read()


def labels(path):
    """A file of `label: value` lines."""
    lines = (line.split(":", 1) for line in read(path).splitlines())
    return {label: value.strip() for label, value in lines}


def fields(path):
    """The fields of a stat file, by their numbers in proc_pid_stat(5)."""
    before, _, rest = read(path).rpartition(") ")
    number, _, name = before.partition(" (")
    return dict(enumerate([number, name, *rest.split()], 1))


def until(test):
    """Another process may take a moment to get to where it sleeps."""
    while not test():
        time.sleep(0.01)


def child(work):
    """A child that tells when it has begun; it ends when it is killed."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        work()
        os.write(theirs, b".")
        while True:
            signal.pause()
    os.read(ours, 1)
    os.close(ours)
    os.close(theirs)
    return f"/proc/{pid}/", pid


def titled(title):
    print(f"--- {title}")


titled("names")
print(os.readlink("/proc/self") == str(os.getpid()))
print(os.readlink("/proc/thread-self") == f"{os.getpid()}/task/{threading.get_native_id()}")
print(os.readlink(SELF + "exe"), os.readlink(SELF + "cwd"), os.readlink(SELF + "root"))
print(read(SELF + "cmdline").split("\0"), sorted(read(SELF + "environ").split("\0")))
print(read(SELF + "comm"), end="")
with open(SELF + "comm", "w") as file:
    file.write("another name for it")
print(repr(read(SELF + "comm")), fields(SELF + "stat")[2], labels(SELF + "status")["Name"])
print(sorted(os.listdir(SELF + "task")) == [str(os.getpid())])

titled("entries of a process")
WANTED = """auxv cgroup cmdline comm coredump_filter cpuset cwd environ exe fd fdinfo gid_map io
limits loginuid maps mountinfo mounts net ns oom_adj oom_score oom_score_adj personality root
schedstat sessionid setgroups smaps smaps_rollup stat statm status syscall task timerslack_ns
uid_map wchan""".split()
print([name for name in WANTED if name not in os.listdir(SELF)])
for name in "coredump_filter gid_map oom_score_adj personality setgroups uid_map".split():
    print(name, repr(read(SELF + name)))
print(sorted(os.listdir(SELF + "ns")))
print(all(re.fullmatch(name.partition("_")[0] + r":\[\d+\]", os.readlink(SELF + "ns/" + name))
          for name in os.listdir(SELF + "ns")))

titled("status")
LABELS = """Name Umask State Tgid Ngid Pid PPid TracerPid Uid Gid FDSize Groups NStgid NSpid NSpgid
NSsid VmPeak VmSize VmLck VmPin VmHWM VmRSS RssAnon RssFile RssShmem VmData VmStk VmExe VmLib VmPTE
VmSwap HugetlbPages CoreDumping THP_enabled Threads SigQ SigPnd ShdPnd SigBlk SigIgn SigCgt CapInh
CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters Cpus_allowed Cpus_allowed_list
Mems_allowed Mems_allowed_list voluntary_ctxt_switches nonvoluntary_ctxt_switches""".split()
print([label for label in LABELS if label not in labels(SELF + "status")])
order = [label for label in labels(SELF + "status") if label in LABELS]
print(order == LABELS)


def prepare():
    os.setsid()
    os.umask(0o27)
    os.setgroups([7, 9])
    os.nice(5)
    os.setresgid(11, 12, 13)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGRTMIN])
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGRTMIN)


path, pid = child(prepare)
until(lambda: fields(path + "stat")[3] == "S")
status, stat = labels(path + "status"), fields(path + "stat")
for label in """Umask State Threads Uid Gid Groups SigPnd ShdPnd SigBlk SigIgn SigCgt
NoNewPrivs Seccomp TracerPid""".split():
    print(label, status[label])
print(status["PPid"] == str(os.getpid()), stat[4] == status["PPid"])
print(stat[5] == stat[6] == status["NSsid"] == str(pid))
print("priority", stat[18], "nice", stat[19], "threads", stat[20], "policy", stat[41])
print(os.stat(path).st_uid, os.stat(path).st_gid)
os.kill(pid, signal.SIGSTOP)
os.waitpid(pid, os.WUNTRACED)
print(labels(path + "status")["State"], fields(path + "stat")[3])
os.kill(pid, signal.SIGCONT)
os.waitpid(pid, os.WCONTINUED)
until(lambda: fields(path + "stat")[3] == "S")
print(labels(path + "status")["State"])

titled("a zombie")
os.kill(pid, signal.SIGKILL)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
print(labels(path + "status")["State"], labels(path + "status")["Name"], fields(path + "stat")[2])
print([label for label in labels(path + "status") if label.startswith("Vm")])
print(repr(read(path + "cmdline")), repr(read(path + "maps")), read(path + "statm"), end="")
print(fields(path + "stat")[52], os.listdir(path + "fd"))
for name in ("exe", "cwd", "root"):
    try:
        print(name, os.readlink(path + name))
    except OSError as error:
        print(name, error.strerror)
os.waitpid(pid, 0)
try:
    read(path + "stat")
except OSError as error:
    print(error.strerror)
file = open(SELF + "stat")
if os.fork() == 0:
    os._exit(0 if file.read().startswith(f"{os.getppid()} (") else 1)
print(os.wait()[1])

titled("threads")
begun, end = threading.Event(), threading.Event()


def work():
    with open("/proc/thread-self/comm", "w") as file:
        file.write("worker")
    begun.set()
    end.wait()


thread = threading.Thread(target=work)
thread.start()
begun.wait()
tid = thread.native_id
print(sorted(os.listdir(SELF + "task")) == sorted([str(os.getpid()), str(tid)]))
print(read(f"/proc/self/task/{tid}/comm"), labels(SELF + "status")["Threads"], end="")
status = labels(f"/proc/self/task/{tid}/status")
print(status["Name"], status["Pid"] == str(tid), status["Tgid"] == str(os.getpid()))
print(str(tid) in os.listdir("/proc"))
end.set()
thread.join()

titled("descriptors")
pipe = os.pipe()
memfd = os.memfd_create("memory")
epoll = select.epoll()
epoll.register(pipe[0], select.EPOLLIN)
event = os.eventfd(5)
unlinked = os.open("/tmp/gone", os.O_CREAT | os.O_RDWR | os.O_APPEND)
os.write(unlinked, b"12345")
os.unlink("/tmp/gone")
ends = socket.socketpair()
libc = ctypes.CDLL(None)
mask = struct.pack("Q", 1 << signal.SIGUSR2 - 1)
signals = libc.signalfd(-1, mask, 0)
timer = libc.timerfd_create(time.CLOCK_MONOTONIC, 0)
process = os.pidfd_open(os.getpid())
directory = os.open("/usr", os.O_PATH)
named = dict(pipe=pipe[0], memfd=memfd, epoll=epoll.fileno(), event=event, unlinked=unlinked,
             socket=ends[0].fileno(), signals=signals, timer=timer, process=process,
             directory=directory)
for name, fd in named.items():
    link = re.sub(r"\d+", "N", os.readlink(f"/proc/self/fd/{fd}"))
    print(name, link)
    for line in read(f"/proc/self/fdinfo/{fd}").splitlines():
        if not line.startswith(("mnt_id", "ino", "eventfd-id", "eventfd-sem", "scm_fds")):
            line = re.sub(r"pos:\d+ ino:\w+ sdev:\w+", "pos ino sdev", line)
            if line.startswith(("Pid:", "NSpid:")):
                line = line.replace(str(os.getpid()), "PID")
            line = re.sub(r"(tfd:) +\d+", r"\1 FD", re.sub(r"data: +\w+", "data", line))
            print("   ", " ".join(line.split()))
with open(f"/proc/self/fd/{unlinked}", "rb") as file:
    print(file.read())
print(os.stat(f"/proc/self/fd/{pipe[0]}").st_ino == os.fstat(pipe[0]).st_ino)

titled("memory")
for line in read(SELF + "maps").splitlines():
    if not re.fullmatch(r"[0-9a-f]+-[0-9a-f]+ [r-][w-][x-][ps] [0-9a-f]{8} \w+:\w+ \d+\s+(\S.*)?", line):
        print("odd:", line)
words = read(SELF + "maps").split()
print("[heap]" in words, "[stack]" in words, "/usr/bin/python3.11" in words)
smaps = {line.split(":")[0] for line in read(SELF + "smaps").splitlines() if line.endswith(" kB")}
print([label for label in """Size KernelPageSize MMUPageSize Rss Pss Pss_Dirty Shared_Clean
Shared_Dirty Private_Clean Private_Dirty Referenced Anonymous LazyFree AnonHugePages ShmemPmdMapped
FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked""".split() if label not in smaps])
size, resident, shared, text, _, data, _ = map(int, read(SELF + "statm").split())
print(size > resident > shared > 0, text > 0, data > 0)
print(abs(int(labels(SELF + "status")["VmSize"].split()[0]) - size * 4) < 4096)
auxv = read(SELF + "auxv", "rb")
pairs = dict(struct.iter_unpack("QQ", auxv))
print(pairs[6], pairs[17], pairs[0], len(auxv) % 16)

titled("limits")
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
lines = read(SELF + "limits").splitlines()
print([line for line in lines if line.startswith(("Limit", "Max open", "Max core", "Max cpu"))])

titled("the OOM killer's preference")
with open(SELF + "oom_score_adj", "w") as file:
    file.write("300")
print(read(SELF + "oom_score_adj"), end="")
try:
    with open(SELF + "oom_score_adj", "w") as file:
        file.write("1001")
except OSError as error:
    print(error.strerror)
path, pid = child(lambda: None)
print(read(path + "oom_score_adj"), end="")
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)

titled("who may look")
path, pid = child(lambda: None)
if os.fork() == 0:
    os.setgroups([])
    os.setresgid(1, 1, 1)
    os.setresuid(1, 1, 1)
    print(labels(path + "status")["Uid"], read(path + "cmdline") != "", read(path + "comm") != "")
    for name in "environ maps auxv io".split():
        try:
            with open(path + name, "rb") as file:
                file.read(1)
            print(name, "is shown")
        except OSError as error:
            print(name, error.strerror)
    for attempt in (lambda: os.listdir(path + "fd"), lambda: os.readlink(path + "exe"),
                    lambda: os.readlink(path + "cwd")):
        try:
            attempt()
            print("is shown")
        except OSError as error:
            print(error.strerror)
    os._exit(0)
os.wait()
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
