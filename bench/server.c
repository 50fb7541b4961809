/* The echo server that Python cannot pass: one thread, edge-triggered epoll, no allocation but for
 * what a socket does not take at once.
 *
 *   server RECEIVE          listen on a TCP port of this machine
 *   server RECEIVE PATH     listen on a Unix socket
 *   server RECEIVE udp      send back datagrams to a UDP port of this machine
 *
 * RECEIVE is what a receive asks for, in bytes. Prints the port, or 0, and serves until it is ended,
 * or its standard input, if that is a pipe.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024
#define RECEIVING (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define SENDING (EPOLLOUT | EPOLLET)

struct connection {
    int fd;
    char *unsent; /* NULL while there is none */
    size_t from, to;
};

static int poller;
static char *buffer;
static size_t size;

static void die(const char *what) {
    fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* As in `servers/lifeline.py`. */
static void end_with_input(void) {
    struct stat input;
    char byte;
    if (fstat(0, &input) || !S_ISFIFO(input.st_mode)) return;
    if (fcntl(0, F_SETOWN, getpid()) || fcntl(0, F_SETSIG, SIGTERM) ||
        fcntl(0, F_SETFL, O_ASYNC | O_NONBLOCK))
        die("fcntl");
    if (read(0, &byte, 1) == 0) exit(0); /* before there was a signal */
}

static void watch(int op, int fd, struct connection *c, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, op, fd, &e)) die("epoll_ctl");
}

static void say_port(int fd) {
    struct sockaddr_in name = {0};
    socklen_t length = sizeof name;
    if (getsockname(fd, (struct sockaddr *)&name, &length)) die("getsockname");
    printf("%d\n", name.sin_family == AF_INET ? ntohs(name.sin_port) : 0);
    fflush(stdout);
}

/* Datagrams; what there is no room for is lost. */
static void serve_datagrams(void) {
    int room = 1 << 20, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) die("socket");
    if (bind(fd, (struct sockaddr *)&at, sizeof at)) die("bind");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    say_port(fd);
    watch(EPOLL_CTL_ADD, fd, NULL, EPOLLIN | EPOLLET);
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(poller, &event, 1, -1) < 0 && errno != EINTR) die("epoll_wait");
        for (;;) {
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            ssize_t n = recvfrom(fd, buffer, size, 0, (struct sockaddr *)&from, &length);
            if (n < 0) break;
            sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length);
        }
        if (errno != EAGAIN) die("recvfrom");
    }
}

static int listening(const char *path) {
    int one = 1, fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (path) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof at.sun_path) {
            errno = ENAMETOOLONG;
            die(path);
        }
        strcpy(at.sun_path, path);
        if (bind(fd, (struct sockaddr *)&at, sizeof at)) die("bind");
    } else {
        struct sockaddr_in at = {.sin_family = AF_INET};
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* what is accepted has it too */
        if (bind(fd, (struct sockaddr *)&at, sizeof at)) die("bind");
    }
    if (listen(fd, BACKLOG)) die("listen");
    say_port(fd);
    return fd;
}

static void accept_all(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = fd;
        watch(EPOLL_CTL_ADD, fd, c, RECEIVING);
    }
    if (errno != EAGAIN && errno != ECONNABORTED) die("accept");
}

/* Send `data`; what is not taken is kept, and 0 returned. -1 when the connection has ended. */
static int send_all(struct connection *c, const char *data, size_t length) {
    size_t sent = 0;
    while (sent < length) {
        ssize_t n = send(c->fd, data + sent, length - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
            continue;
        }
        if (errno != EAGAIN) return -1;
        if (!c->unsent) {
            c->to = length - sent;
            c->from = 0;
            if (!(c->unsent = malloc(c->to))) die("malloc");
            memcpy(c->unsent, data + sent, c->to);
            watch(EPOLL_CTL_MOD, c->fd, c, SENDING);
        } else
            c->from += sent;
        return 0;
    }
    return 1;
}

/* Until a receive or a send would wait; -1 when the connection has ended. */
static int go_on(struct connection *c, int more) {
    if (c->unsent) {
        int all = send_all(c, c->unsent + c->from, c->to - c->from);
        if (all <= 0) return all;
        free(c->unsent);
        c->unsent = NULL;
        watch(EPOLL_CTL_MOD, c->fd, c, RECEIVING);
    }
    for (;;) {
        ssize_t n = recv(c->fd, buffer, size, 0);
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        if (n == 0) return -1;
        int all = send_all(c, buffer, (size_t)n);
        if (all <= 0) return all;
        if ((size_t)n < size && !more) return 0; /* short: there is no more */
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3 || (size = (size_t)atol(argv[1])) < 1) {
        fprintf(stderr, "usage: server RECEIVE [PATH|udp]\n");
        return 2;
    }
    end_with_input();
    if (!(buffer = malloc(size))) die("malloc");
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (argc > 2 && !strcmp(argv[2], "udp")) serve_datagrams();
    int listener = listening(argc > 2 ? argv[2] : NULL);
    watch(EPOLL_CTL_ADD, listener, NULL, EPOLLIN);
    struct epoll_event events[1024];
    for (;;) {
        int n = epoll_wait(poller, events, 1024, -1);
        if (n < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (go_on(c, events[i].events != EPOLLIN) < 0) {
                close(c->fd);
                free(c->unsent);
                free(c);
            }
        }
    }
}
