"""
The target: nginx with one worker if it is installed, otherwise a server in Python. It is the same for all
contestants.
"""

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

#: The echo module, which responds late. Debian's nginx-light contains it.
_ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
#: Seconds until `/slow/` responds.
SLOW_S = 5
_PATIENCE_S = 10.0
#: A client's port stays in use for a minute per server address. With several addresses, 10,000 connections
#: per run do not use up all ports.
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
    """The server cannot run here. The message has the reason."""


class Server:
    """
    A server in a process of its own, during a `with` block.

    Args:
        folder: Folder for its files.
        hosts: Addresses to listen on.
        port: Port to listen on; None for a free one.
        log: Whether to log each request. Logging takes time, which is part of the figures.
        certificate: Certificate and key. With them the server speaks only TLS 1.3.
        inside: Command prefix that enters the network namespace.
        own: Use the server in Python even if nginx is installed.
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
        except BaseException:  # also interrupts: a `with` block that was not entered has no exit
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def __str__(self) -> str:
        return (
            "nginx, one worker"
            if self.is_nginx
            else "a server in Python, one process (nginx is not installed)"
        )

    def _start(self, output: IO[bytes]) -> subprocess.Popen[bytes]:
        if self.is_nginx:
            file = self._folder / "nginx.conf"
            file.write_text(self._configuration())
            command = [
                "nginx",
                "-p",
                str(self._folder),
                "-e",
                str(self._folder / "error.log"),
                "-c",
                str(file),
            ]
        elif self._certificate or self.inside:
            raise NoServer("nginx is not installed")
        else:
            command = [
                sys.executable,
                "-m",
                "bench.own_server",
                str(self.port),
                str(self.log_file),
                str(SLOW_S),
                *self.hosts,
            ]
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
        if self.inside:  # not reachable from here, so wait for the pid file, which is written last
            return (self._folder / "nginx.pid").exists()
        try:
            socket.create_connection((self.hosts[-1], self.port), timeout=1).close()
        except OSError:
            return False
        return True


def courses(
    server: Server, name: str, *, ca: Path | None = None, inside: Sequence[str] = ()
) -> Iterator[Course]:
    """
    Yield courses to a server, one per run. No two courses share a path.

    Args:
        server: The target.
        name: Beginning of the paths, unique in a table.
        ca: The authority to trust, if the server speaks TLS.
        inside: Command prefix that enters the network namespace of the clients.
    """
    for index in itertools.count():
        host, prefix = server.hosts[index % len(server.hosts)], f"/{name}{index}/job/"
        yield Course(host=host, port=server.port, prefix=prefix, ca=ca, inside=inside)


def free_port(hosts: Sequence[str]) -> int:
    """
    Find a port that is free on all hosts, below the range of outgoing connections, which could use it.

    Raises:
        NoServer: no port is free.
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
