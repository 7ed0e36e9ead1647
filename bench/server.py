"""The target: nginx with one worker where it is installed, else a server of our own. The same one for all variants."""

import errno
import itertools
import random
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from bench.course import Course
from bench.installed import lacks
from bench.machine import most_files
from bench.waiting import eventually

#: Debian's nginx-light brings it; it answers late.
_ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
#: How long `/slow/` takes to answer.
SLOW_S = 5
_PATIENCE_S = 10.0
#: A client's port stays taken for a minute for one address of the server: with several, 10,000 connections a run do not use
#: all of them up.
LOOPBACK = tuple(f"127.0.0.{last}" for last in range(2, 10))

_CONFIGURATION = """
{load}
daemon off; worker_processes 1; worker_rlimit_nofile {files};
pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections {connections}; multi_accept on; }}
http {{
  log_format arrivals '$msec $request_time $request_method $uri $status $http_x_tminus_occurrence';
  access_log {log}; default_type text/plain; server_tokens off;
  keepalive_timeout 120s; keepalive_requests 1000000; client_header_timeout 120s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    {listen}
    {tls}
    location / {{ return 200 "ok"; }}
    {slow}
  }}
}}
"""


class NoServer(Exception):
    """It cannot be had here; the message says why."""


class Server:
    """
    A server in a process of its own, for the length of a `with` block.

    Args:
        folder: For its files; its own.
        hosts: The addresses that it listens on.
        port: None: a free one.
        log: Whether it writes a line for each request: costs it time, which counts in the figures.
        certificate: Its certificate and key: with them it speaks TLS 1.3, and nothing else.
        inside: The command that puts another into the right network namespace.
        own: Not nginx, even where it is installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        hosts: Sequence[str] = LOOPBACK,
        port: int | None = None,
        log: bool = False,
        certificate: tuple[Path, Path] | None = None,
        inside: Sequence[str] = (),
        own: bool = False,
    ) -> None:
        self.hosts = hosts
        self.port = port or free_port(hosts)
        self.inside = inside
        self.log_file = folder / "access.log"
        self.is_nginx = not own and lacks("nginx") is None
        self.can_be_slow = not self.is_nginx or _ECHO.exists()
        self._folder, self._log, self._certificate = folder, log, certificate
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self._folder.mkdir(parents=True, exist_ok=True)
        self.log_file.touch()
        said = self._folder / "said.log"
        try:
            with said.open("wb") as output:
                self._process = self._start(output)
            if not eventually(self._is_up, timeout_s=_PATIENCE_S):
                raise NoServer(f"the server does not start: {said.read_text()[-500:]}")
        except BaseException:  # interrupted, too: a `with` block that was not entered is not left
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def __str__(self) -> str:
        return "nginx, one worker" if self.is_nginx else "a server of our own in Python, one process (nginx is not installed)"

    def _start(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        if self.is_nginx:
            file = self._folder / "nginx.conf"
            file.write_text(self._configuration())
            command = ["nginx", "-p", str(self._folder), "-e", str(self._folder / "error.log"), "-c", str(file)]
        elif self._certificate or self.inside:
            raise NoServer("nginx is not installed")
        else:
            command = [sys.executable, "-m", "bench.own_server", str(self.port), str(self.log_file), str(SLOW_S), *self.hosts]
        return subprocess.Popen([*self.inside, *command], stdout=output, stderr=output)

    def _configuration(self) -> str:
        files = most_files()
        suffix = " ssl" if self._certificate else ""
        tls = ""
        if self._certificate:
            certificate, key = self._certificate
            tls = f"ssl_protocols TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};"
        return _CONFIGURATION.format(
            load=f"load_module {_ECHO};" if _ECHO.exists() else "",
            files=files,
            connections=files - 500,
            folder=self._folder,
            log=f"{self.log_file} arrivals buffer=64k flush=200ms" if self._log else "off",
            listen=" ".join(f"listen {host}:{self.port}{suffix} backlog=65535;" for host in self.hosts),
            tls=tls,
            slow=f"location /slow/ {{ echo_sleep {SLOW_S}; echo ok; }}" if _ECHO.exists() else "",
        )

    def _is_up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            return False
        if self.inside:  # not reachable from here: the log of errors stays empty, and the pid is written last
            return (self._folder / "nginx.pid").exists()
        try:
            socket.create_connection((self.hosts[-1], self.port), timeout=1).close()
        except OSError:
            return False
        return True


def courses(server: Server, name: str, *, ca: Path | None = None, inside: Sequence[str] = ()) -> Iterator[Course]:
    """
    Courses to a server, one a run; no two have a path in common.

    Args:
        server: Where they lead.
        name: What their paths begin with; of courses in one table each its own.
        ca: The authority to trust, where it speaks TLS.
        inside: The command that puts a client into the right network namespace.
    """
    for index in itertools.count():
        host, prefix = server.hosts[index % len(server.hosts)], f"/{name}{index}/job/"
        yield Course(host=host, port=server.port, prefix=prefix, ca=ca, inside=inside)


def free_port(hosts: Sequence[str]) -> int:
    """
    A port that is free on all of them, below the range of ports for outgoing connections: one of those could sit on it.

    Raises:
        NoServer: there is none.
    """
    lowest = int(re.split(r"\s+", Path("/proc/sys/net/ipv4/ip_local_port_range").read_text())[0])
    candidates = list(range(min(10_000, lowest // 2), lowest))
    random.shuffle(candidates)
    for port in candidates[:200]:
        if all(_is_free(host, port) for host in hosts):
            return port
    raise NoServer(f"no free port below {lowest}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
