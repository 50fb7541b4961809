/* The load of the benchmarks: one thread, edge-free epoll, nothing allocated per operation.
 *
 * It polls without ever sleeping where there is a second processor. Whoever sends to a process of this
 * machine that sleeps pays for waking it, and the more often it sleeps the slower the server is: an
 * account of the server's own work must not have that in it. (Clients elsewhere cost it nothing.)
 *
 *   load echo   PORT CONNECTIONS SIZE SECONDS [FLIGHT]
 *                                               keep FLIGHT messages, or one, in flight on each
 *   load http   PORT CONNECTIONS SECONDS        one request in flight on each, kept alive
 *   load accept PORT CONNECTIONS SECONDS        open, send a byte, receive it, reset; again and again
 *   load churn  PORT CONNECTIONS COUNT          the same COUNT times, and most are closed instead
 *   load hold   PORT CONNECTIONS COUNT          open COUNT, a byte each way on each, and keep them
 *                                               until standard input ends
 *   load datagram PORT SOCKETS SIZE SECONDS     keep one datagram of 8 bytes or more on the way of each
 *                                               UDP socket; what is lost is sent again, and counted
 *
 * PORT is one of this machine, or the path of a Unix socket. CONNECTIONS are open, or for `hold`
 * being opened, at a time. Prints one JSON object.
 * Anything unexpected ends it with a message and status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define FOREVER 1e18
#define BUCKETS 200000 /* microseconds; what is slower counts as this */
#define CHUNK 262144   /* what a receive asks for, in bytes */
#define HEAD 4096      /* bytes of an answer before its body, at most */
#define REQUEST \
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n"
#define LOST 0.2       /* seconds after which a datagram is taken for lost */

struct connection {
    int fd;
    int connected;
    int waiting;           /* for room to send */
    size_t sent, received; /* bytes, of all messages together */
    size_t answered;       /* messages */
    double *began;         /* of each message in flight, in turn */
    char *head;            /* of an answer that has not come whole; NULL where none is of HTTP */
    size_t headed, body;   /* bytes that there are of it, and that its body lacks */
};

static int poller;
static char *stream, *scratch; /* messages one after the other, for any part of one and a CHUNK */
static size_t size, flight = 1;
static uint32_t latency[BUCKETS];
static struct sockaddr_in server = {.sin_family = AF_INET};
static struct sockaddr_un named = {.sun_family = AF_UNIX}; /* instead, where it has a path */

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void watch(int op, struct connection *c, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, op, c->fd, &e)) die("epoll_ctl");
}

/* Each connection comes from another loopback address: closed ones keep their port for a minute. */
static void begin(struct connection *c, long number, double at) {
    int one = 1;
    struct connection kept = {.began = c->began, .head = c->head};
    *c = kept;
    for (size_t i = 0; i < flight; i++) c->began[i] = at;
    c->waiting = 1;
    if (named.sun_path[0]) {
        /* One that does not block is refused by a full queue, and there is no event for room in it. */
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0) die("socket");
        if (connect(c->fd, (struct sockaddr *)&named, sizeof named)) die("connect");
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK)) die("fcntl");
        watch(EPOLL_CTL_ADD, c, EPOLLOUT);
        return;
    }
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f010001u + (uint32_t)(number % 250) * 256);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) die("bind");
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        die("connect");
    watch(EPOLL_CTL_ADD, c, EPOLLOUT);
}

static void finish_connect(struct connection *c) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        errno = error;
        die("connect");
    }
    c->connected = 1;
}

/* Send what may be in flight; a full buffer waits for room. */
static void push(struct connection *c) {
    size_t until = (c->answered + flight) * size;
    while (c->sent < until) {
        size_t at = c->sent % size, length = until - c->sent;
        if (length > size + CHUNK - at) length = size + CHUNK - at;
        ssize_t n = send(c->fd, stream + at, length, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) die("send");
            if (!c->waiting) watch(EPOLL_CTL_MOD, c, EPOLLIN | EPOLLOUT);
            c->waiting = 1;
            return;
        }
        c->sent += (size_t)n;
    }
    if (c->waiting) watch(EPOLL_CTL_MOD, c, EPOLLIN);
    c->waiting = 0;
}

static void note(double seconds) {
    long us = (long)(seconds * 1e6);
    latency[us < BUCKETS ? us : BUCKETS - 1]++;
}

static void no_answer(void) {
    errno = EBADMSG;
    die("not an answer with status 200 and a length");
}

/* Find the ends of answers in what was received, by their Content-Length; returns how many. */
static size_t answers(struct connection *c, const char *data, size_t length) {
    size_t ends = 0;
    while (length) {
        if (c->body) {
            size_t part = length < c->body ? length : c->body;
            data += part, length -= part, c->body -= part;
            ends += !c->body;
            continue;
        }
        c->head[c->headed++] = *data++, length--;
        c->head[c->headed] = 0;
        if (c->headed >= 4 && !strcmp(c->head + c->headed - 4, "\r\n\r\n")) {
            char *field = strcasestr(c->head, "\r\nContent-Length:");
            if (strncmp(c->head, "HTTP/1.1 200 ", 13) || !field) no_answer();
            c->body = strtoul(field + 17, NULL, 10);
            c->headed = 0;
            ends += !c->body;
        } else if (c->headed == HEAD - 1)
            no_answer();
    }
    return ends;
}

/* Receive once; returns how many messages are back by that. */
static long pull(struct connection *c, double t) {
    ssize_t n = recv(c->fd, scratch, CHUNK, 0);
    if (n < 0) {
        if (errno == EAGAIN) return 0;
        die("recv");
    }
    if (n == 0) {
        errno = ECONNRESET;
        die("the server closed");
    }
    if (c->head)
        n = (ssize_t)(answers(c, scratch, (size_t)n) * size); /* as if the request came back */
    if (c->received + (size_t)n > c->sent ||
        (!c->head && memcmp(scratch, stream + c->received % size, (size_t)n))) {
        errno = EBADMSG;
        die("not an echo");
    }
    c->received += (size_t)n;
    long back = 0;
    for (; c->received >= (c->answered + 1) * size; back++) {
        double *began = &c->began[c->answered++ % flight];
        note(t - *began);
        *began = t; /* the next one takes its place */
    }
    return back;
}

static long quantile(double share, long total) {
    long seen = 0;
    for (long us = 0; us < BUCKETS; us++)
        if ((seen += latency[us]) >= share * (double)total) return us;
    return BUCKETS;
}

/* Close; a reset keeps no port busy for a minute. */
static void end(struct connection *c, int reset) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(c->fd);
}

static void report(long operations, double elapsed, long lost) {
    printf("{\"operations\": %ld, \"seconds\": %.6f, \"p50_us\": %ld, \"p99_us\": %ld, \"lost\": %ld}\n",
           operations, elapsed, quantile(0.5, operations), quantile(0.99, operations), lost);
}

/* One datagram, with the number of the message in front: a late echo is not taken for the next one's. */
static void post(struct connection *c, double t) {
    uint64_t number = c->answered;
    memcpy(stream, &number, sizeof number);
    c->began[1] = t; /* when it was sent last; began[0] is when it was sent first */
    if (send(c->fd, stream, size, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != ENOBUFS)
        die("send");
}

/* Receive one; returns 1 if it is the echo that is waited for. */
static int take(struct connection *c, double t) {
    uint64_t number;
    ssize_t n = recv(c->fd, scratch, CHUNK, 0);
    if (n < 0) {
        if (errno == EAGAIN) return 0;
        die("recv");
    }
    memcpy(&number, scratch, sizeof number);
    if ((size_t)n != size || number > c->answered ||
        memcmp(scratch + sizeof number, stream + sizeof number, size - sizeof number)) {
        errno = EBADMSG;
        die("not an echo");
    }
    if (number < c->answered) return 0; /* a second one, of what was sent again */
    c->answered++;
    note(t - c->began[0]);
    return 1;
}

/* Return how many events there are, 0 when there are none for so many seconds. */
static int wait_for(struct epoll_event *events, int room, double patience) {
    static int spare = -1; /* a processor that the server does not need */
    cpu_set_t processors;
    if (spare < 0)
        spare = !sched_getaffinity(0, sizeof processors, &processors) && CPU_COUNT(&processors) > 1;
    double until = spare ? now() + patience : 0;
    int n;
    do n = epoll_wait(poller, events, room, spare ? 0 : (int)(patience * 1e3));
    while (!n && now() < until);
    if (n < 0) die("epoll_wait");
    return n;
}

static int datagrams(long sockets, double seconds) {
    struct connection *all = calloc((size_t)sockets, sizeof *all);
    double *began = calloc((size_t)sockets * 2, sizeof *began);
    struct epoll_event events[1024];
    long done = 0, lost = 0;
    if (size < sizeof(uint64_t)) {
        fprintf(stderr, "load: a datagram has 8 bytes at least\n");
        return 2;
    }
    if (!all || !began) die("malloc");
    double start = now(), t = start, looked = start;
    for (long i = 0; i < sockets; i++) {
        struct connection *c = &all[i];
        c->began = began + 2 * i;
        c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0) die("socket");
        if (connect(c->fd, (struct sockaddr *)&server, sizeof server)) die("connect");
        watch(EPOLL_CTL_ADD, c, EPOLLIN);
        c->began[0] = t;
        post(c, t);
    }
    while (t < start + seconds) {
        int n = wait_for(events, 1024, LOST / 4);
        t = now();
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!take(c, t)) continue;
            done++;
            c->began[0] = t;
            post(c, t);
        }
        if (t < looked + LOST / 4) continue;
        looked = t;
        for (long i = 0; i < sockets; i++)
            if (all[i].began[1] + LOST < t) lost++, post(&all[i], t);
    }
    report(done, now() - start, lost);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: load echo|http|accept|churn|hold|datagram PORT CONNECTIONS ...\n");
        return 2;
    }
    int echo = !strcmp(argv[1], "echo"), accept = !strcmp(argv[1], "accept");
    int hold = !strcmp(argv[1], "hold"), http = !strcmp(argv[1], "http");
    int datagram = !strcmp(argv[1], "datagram");
    long connections = atol(argv[3]), total = LONG_MAX, opened = 0, done = 0;
    double seconds = FOREVER;
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (argv[2][0] == '/') {
        if (strlen(argv[2]) >= sizeof named.sun_path) {
            errno = ENAMETOOLONG;
            die(argv[2]);
        }
        strcpy(named.sun_path, argv[2]);
    }
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    size = echo || datagram ? (size_t)atol(argv[4]) : http ? strlen(REQUEST) : 1;
    if (echo || datagram)
        seconds = argc > 5 ? atof(argv[5]) : 1, flight = argc > 6 ? (size_t)atol(argv[6]) : 1;
    else if (accept || http)
        seconds = atof(argv[4]);
    else
        total = atol(argv[4]);
    if (!size || !flight) {
        fprintf(stderr, "load: a message has a byte at least, and one is in flight\n");
        return 2;
    }
    size_t room = (size_t)(hold ? total : connections);
    stream = malloc(size + CHUNK);
    scratch = malloc(CHUNK);
    struct connection *all = calloc(room, sizeof *all);
    double *began = calloc(room * flight, sizeof *began);
    if (!stream || !scratch || !all || !began) die("malloc");
    for (size_t i = 0; i < room; i++) {
        all[i].began = began + i * flight;
        if (http && !(all[i].head = malloc(HEAD))) die("malloc");
    }
    for (size_t i = 0; i < size + CHUNK; i++)
        stream[i] = http ? REQUEST[i % size] : (char)((i % size) * 31 + (i % size >> 8) * 17 + 7);
    int again = echo || http; /* on the same connection */
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (datagram) return datagrams(connections, seconds);
    struct epoll_event events[1024];
    double start = now(), last = start + seconds, t = start;
    while (opened < connections && opened < total) {
        begin(&all[opened], opened, t);
        opened++;
    }
    while (done < total && t < last) {
        int n = wait_for(events, 1024, 10);
        if (!n) errno = ETIMEDOUT, die("no answer for 10 s");
        t = now();
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c->connected) {
                finish_connect(c);
                for (size_t k = 0; again && k < flight; k++) c->began[k] = t;
                push(c);
                continue;
            }
            if (events[i].events & EPOLLOUT) push(c);
            if (!(events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))) continue;
            long back = pull(c, t);
            if (!back) continue;
            done += back;
            if (again) {
                push(c);
                continue;
            }
            if (!hold) end(c, accept || done % 16 == 0); /* some peers do not say goodbye */
            if (opened < total) {
                begin(hold ? &all[opened] : c, opened, t);
                opened++;
            }
        }
    }
    report(done, now() - start, 0);
    if (hold) {
        fflush(stdout);
        while (getchar() != EOF) continue;
    }
    /* The end of the process would close what is still open, and each would keep its port. */
    for (long i = 0; accept && i < connections; i++) end(&all[i], 1);
    return 0;
}
