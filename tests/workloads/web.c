/* A server and its client in one: so many requests of each kind over a socket, by each of the calls
 * that move bytes. Blocks where it can. Usage: web COUNT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char body[5000];
static int file;

/* How a kind of request is sent and received. */
static void send_all(int fd, const char *kind, char *bytes, size_t length) {
  if (!strcmp(kind, "vector")) {
    struct iovec parts[2] = {{bytes, 10}, {bytes + 10, length - 10}};
    if (writev(fd, parts, 2) < 0) exit(1);
  } else if (!strcmp(kind, "message")) {
    struct iovec part = {bytes, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (sendmsg(fd, &message, 0) < 0) exit(1);
  } else if (!strcmp(kind, "send")) {
    if (send(fd, bytes, length, 0) < 0) exit(1);
  } else if (write(fd, bytes, length) < 0) {
    exit(1);
  }
}

static ssize_t receive(int fd, const char *kind, char *bytes, size_t room) {
  struct iovec parts[2] = {{bytes, 100}, {bytes + 100, room - 100}};
  if (!strcmp(kind, "vector")) return readv(fd, parts, 2);
  if (!strcmp(kind, "message")) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return recvmsg(fd, &message, 0);
  }
  if (!strcmp(kind, "send")) return recv(fd, bytes, room, 0);
  return read(fd, bytes, room);
}

static int request(char *head, size_t room, const char *kind) {
  const char *method = strcmp(kind, "splice") ? "GET" : "POST";
  return snprintf(head, room, "%s /%s HTTP/1.1\r\nHost: web\r\nX-Padding: %080d\r\nContent-Length: %zu\r\n\r\n",
                  method, kind, 0, strcmp(kind, "splice") ? (size_t)0 : sizeof body);
}

/* Takes a body without a call that the kernel tells of. */
static void skip_body(int fd) {
  int ends[2];
  char bytes[4096];
  if (pipe(ends)) exit(1);
  for (size_t left = sizeof body; left > 0;) {
    ssize_t moved = splice(fd, NULL, ends[1], NULL, left < sizeof bytes ? left : sizeof bytes, 0);
    if (moved <= 0 || read(ends[0], bytes, moved) != moved) exit(1);
    left -= moved;
  }
  close(ends[0]);
  close(ends[1]);
}

static void serve(int fd, const char *kind, int count) {
  char head[4096];
  int splices = !strcmp(kind, "splice");
  size_t room = splices ? (size_t)request(head, sizeof head, kind) : sizeof head;
  while (count-- > 0) {
    if (receive(fd, kind, head, room) <= 0) exit(1);
    if (splices) skip_body(fd);
    int length = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof body);
    if (!strcmp(kind, "file")) {
      off_t start = 0;
      if (write(fd, head, length) < 0 || sendfile(fd, file, &start, sizeof body) != sizeof body) exit(1);
    } else {
      memcpy(head + length, body, 1000);
      send_all(fd, kind, head, length + 1000);
      if (write(fd, body, sizeof body - 1000) < 0) exit(1);
    }
  }
}

static void ask(int fd, const char *kind, int count) {
  char head[200], answer[4096];
  int length = request(head, sizeof head, kind);
  while (count-- > 0) {
    send_all(fd, kind, head, length);
    if (!strcmp(kind, "splice") && write(fd, body, sizeof body) < 0) exit(1);
    for (size_t got = 0; got < sizeof body;) {
      ssize_t read = receive(fd, kind, answer, sizeof answer);
      if (read <= 0) exit(1);
      char *end = got ? NULL : memmem(answer, read, "\r\n\r\n", 4);
      got += end ? (size_t)(answer + read - end - 4) : (size_t)read;
    }
  }
}

/* One connection of a family, both ends in processes of their own. */
static void connection(int family, const char *kind, int count) {
  int ends[2];
  if (family == AF_UNIX) {
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) exit(1);
  } else {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = family == AF_INET ? (void *)&four : (void *)&six;
    socklen_t length = family == AF_INET ? sizeof four : sizeof six;
    int listener = socket(family, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, address, length) || listen(listener, 1)) exit(1);
    getsockname(listener, address, &length);
    ends[1] = socket(family, SOCK_STREAM, 0);
    if (connect(ends[1], address, length)) exit(1);
    ends[0] = accept(listener, NULL, NULL);
    close(listener);
  }
  pid_t server = fork();
  if (!server) {
    close(ends[1]);
    serve(ends[0], kind, count);
    _exit(0);
  }
  close(ends[0]);
  ask(ends[1], kind, count);
  close(ends[1]);
  int status;
  if (waitpid(server, &status, 0) != server || status) exit(1);
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 10;
  char name[] = "/tmp/web-XXXXXX";
  file = mkstemp(name);
  unlink(name);
  if (file < 0 || write(file, body, sizeof body) != sizeof body) return 1;
  connection(AF_INET, "write", count);
  connection(AF_INET, "send", count);
  connection(AF_INET, "vector", count);
  connection(AF_INET, "message", count);
  connection(AF_INET, "file", count);
  connection(AF_INET, "splice", count);
  connection(AF_INET6, "six", count);
  connection(AF_UNIX, "unix", count);
  return 0;
}
