/* Netlink: what a program asks about interfaces, addresses and routes; and the C library's
   functions that ask so. Attributes that depend on the version of Linux are not looked at. */
#include "../tell.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct request {
    struct nlmsghdr header;
    union {
        struct rtgenmsg any;
        struct ifinfomsg link;
        char room[64];
    };
};

static int sock;
static unsigned sequence;

static void attributes(struct rtattr *attribute, int len, const int *wanted) {
    for (; *wanted; wanted++)
        for (struct rtattr *at = attribute, *next; at; at = next) {
            int left = len - (int)((char *)at - (char *)attribute);
            if (!RTA_OK(at, left))
                break;
            next = (void *)((char *)at + RTA_ALIGN(at->rta_len));
            if (at->rta_type != *wanted)
                continue;
            printf("   %d:", at->rta_type);
            for (unsigned i = 0; i < RTA_PAYLOAD(at); i++)
                printf(" %02x", ((unsigned char *)RTA_DATA(at))[i]);
            printf("\n");
        }
}

/* One message of an answer; false at the last one. */
static bool shown(struct nlmsghdr *header) {
    static const int of_links[] = {IFLA_IFNAME, IFLA_TXQLEN, IFLA_OPERSTATE, IFLA_LINKMODE, IFLA_MTU,
        IFLA_GROUP, IFLA_PROMISCUITY, IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES, IFLA_CARRIER, IFLA_QDISC,
        IFLA_ADDRESS, IFLA_BROADCAST, 0};
    static const int of_addresses[] = {IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_FLAGS, 0};
    static const int of_routes[] = {RTA_TABLE, RTA_DST, RTA_PRIORITY, RTA_PREFSRC, RTA_OIF, RTA_PREF, 0};
    struct rtmsg *first = NLMSG_DATA(header);
    /* Older Linux has ::1 in the main table too. */
    if (header->nlmsg_type == RTM_NEWROUTE && first->rtm_family == AF_INET6 && first->rtm_table == RT_TABLE_MAIN)
        return true;
    printf("  type %d, flags %#x, sequence %u, mine %d\n", header->nlmsg_type, header->nlmsg_flags,
        header->nlmsg_seq, header->nlmsg_pid == (unsigned)getpid());
    switch (header->nlmsg_type) {
    case NLMSG_DONE:
        printf("  done, %u bytes\n", header->nlmsg_len);
        return false;
    case NLMSG_ERROR: {
        struct nlmsgerr *error = NLMSG_DATA(header);
        printf("  %s for type %d, %u bytes\n", error->error ? strerrorname_np(-error->error) : "no error",
            error->msg.nlmsg_type, header->nlmsg_len);
        return false;
    }
    case RTM_NEWLINK: {
        struct ifinfomsg *link = NLMSG_DATA(header);
        printf("  link %d: family %d, type %d, flags %#x\n", link->ifi_index, link->ifi_family,
            link->ifi_type, link->ifi_flags);
        attributes(IFLA_RTA(link), IFLA_PAYLOAD(header), of_links);
        break;
    }
    case RTM_NEWADDR: {
        struct ifaddrmsg *address = NLMSG_DATA(header);
        printf("  address of %d: family %d, prefix %d, flags %#x, scope %d\n", address->ifa_index,
            address->ifa_family, address->ifa_prefixlen, address->ifa_flags, address->ifa_scope);
        attributes(IFA_RTA(address), IFA_PAYLOAD(header), of_addresses);
        break;
    }
    case RTM_NEWROUTE: {
        struct rtmsg *route = NLMSG_DATA(header);
        printf("  route: family %d, prefix %d, table %d, protocol %d, scope %d, type %d, flags %#x\n",
            route->rtm_family, route->rtm_dst_len, route->rtm_table, route->rtm_protocol,
            route->rtm_scope, route->rtm_type, route->rtm_flags);
        attributes(RTM_RTA(route), RTM_PAYLOAD(header), of_routes);
        break;
    }
    }
    return header->nlmsg_flags & NLM_F_MULTI;
}

static void ask_with(const char *what, struct request *request, int type, int flags, int len) {
    static char buffer[65536];
    bool more = true;
    request->header = (struct nlmsghdr){NLMSG_LENGTH(len), type, flags, ++sequence, 0};
    tell("sendto", what, send(sock, request, request->header.nlmsg_len, 0) == request->header.nlmsg_len ? 0 : -1);
    while (more) {
        struct sockaddr_nl from = {};
        socklen_t room = sizeof from;
        struct pollfd ready = {sock, POLLIN, 0};
        if (poll(&ready, 1, 0) == 0) {
            printf("  no answer\n");
            return;
        }
        long len = recvfrom(sock, buffer, sizeof buffer, 0, (void *)&from, &room);
        if (len <= 0 || from.nl_family != AF_NETLINK || from.nl_pid || room != sizeof from)
            printf("  odd: %ld bytes from %d\n", len, from.nl_pid);
        for (struct nlmsghdr *at = (void *)buffer; more && NLMSG_OK(at, len); at = NLMSG_NEXT(at, len))
            more = shown(at);
    }
}

static void ask(const char *what, int type, int flags, int family) {
    struct request request = {.any = {family}};
    ask_with(what, &request, type, flags, sizeof request.any);
}

static void ask_link(const char *what, int index, const char *name) {
    struct request request = {.link = {.ifi_index = index}};
    int len = sizeof request.link;
    if (name) {
        struct rtattr *attribute = (void *)(request.room + sizeof request.link);
        attribute->rta_type = IFLA_IFNAME;
        attribute->rta_len = RTA_LENGTH(strlen(name) + 1);
        strcpy(RTA_DATA(attribute), name);
        len += attribute->rta_len;
    }
    ask_with(what, &request, RTM_GETLINK, NLM_F_REQUEST, len);
}

static void names(void) {
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    struct sockaddr_in other = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    part("names");
    int one = call(socket, "netlink, a stream", AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE);
    call(socket, "netlink, an old protocol", AF_NETLINK, SOCK_RAW, 1);
    call(socket, "netlink, no protocol", AF_NETLINK, SOCK_RAW, 99);
    call(socketpair, "netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, (int[2]){});
    one = must(socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_ROUTE));
    call(getsockname, "netlink, no name", one, &address, &len);
    printf("%d bytes: family %d, number %u, groups %#x\n", len, address.nl_family, address.nl_pid, address.nl_groups);
    call(bind, "netlink, short", one, &address, 4);
    call(bind, "netlink, another family", one, &other, sizeof other);
    call(bind, "netlink", one, &address, sizeof address);
    call(getsockname, "netlink", one, &address, &len);
    printf("mine %d\n", address.nl_pid == (unsigned)getpid());
    int other_one = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    call(bind, "netlink, a number that is taken", other_one, &address, sizeof address);
    address.nl_pid = 0;
    call(bind, "netlink, another number", other_one, &address, sizeof address);
    call(getsockname, "netlink, another number", other_one, &address, &len);
    printf("mine %d, below zero %d\n", address.nl_pid == (unsigned)getpid(), (int)address.nl_pid < 0);
    address.nl_pid = 5;
    call(bind, "netlink, again, another number", other_one, &address, sizeof address);
    call(connect, "netlink, the kernel", one, &(struct sockaddr_nl){.nl_family = AF_NETLINK}, sizeof address);
    call(getpeername, "netlink", one, &address, &len);
    printf("%d bytes: family %d, number %u\n", len, address.nl_family, address.nl_pid);
    call(connect, "netlink, another family", one, &other, sizeof other);
    call(listen, "netlink", one, 1);
    call(shutdown, "netlink", one, SHUT_RDWR);
    call(sendto, "netlink, out of band", one, "", 1, MSG_OOB, NULL, 0);
    address.nl_pid = 77;
    call(sendto, "netlink, nobody's number", one, "", 1, 0, &address, sizeof address);
    call(recvfrom, "netlink, nothing there", one, &address, 1, MSG_DONTWAIT, NULL, NULL);
    call(ioctl, "netlink, FIONREAD", one, FIONREAD, &len);
    int value = 1, index = 0;
    for (int option = NETLINK_PKTINFO; option <= NETLINK_GET_STRICT_CHK; option++) {
        if (option >= NETLINK_RX_RING && option <= NETLINK_LIST_MEMBERSHIPS)
            continue;
        char what[40];
        sprintf(what, "netlink, option %d", option);
        call(setsockopt, what, other_one, SOL_NETLINK, option, &value, sizeof value);
        len = sizeof index;
        call(getsockopt, what, other_one, SOL_NETLINK, option, &index, &len);
        printf("%d\n", index);
    }
    value = RTNLGRP_LINK;
    call(setsockopt, "netlink, a group", other_one, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &value, sizeof value);
    value = 10000;
    call(setsockopt, "netlink, no group", other_one, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &value, sizeof value);
    call(setsockopt, "netlink, no option", other_one, SOL_NETLINK, 99, &value, sizeof value);
    len = sizeof address;
    call(getsockname, "netlink, with a group", other_one, &address, &len);
    printf("groups %#x\n", address.nl_groups);
    close(one), close(other_one);
}

static void library(void) {
    part("the C library");
    struct ifaddrs *all;
    must(getifaddrs(&all));
    for (struct ifaddrs *at = all; at; at = at->ifa_next) {
        char text[64] = "", mask[64] = "";
        if (!at->ifa_addr)
            continue;
        int family = at->ifa_addr->sa_family;
        size_t skip = family == AF_INET ? 4 : 8;
        if (family == AF_INET || family == AF_INET6) {
            inet_ntop(family, (char *)at->ifa_addr + skip, text, sizeof text);
            inet_ntop(family, (char *)at->ifa_netmask + skip, mask, sizeof mask);
        }
        printf("%s: flags %#x, family %d, %s, mask %s, data %d\n", at->ifa_name, at->ifa_flags, family,
            text, mask, at->ifa_data != NULL);
    }
    struct if_nameindex *names = if_nameindex();
    for (struct if_nameindex *at = names; at && at->if_name; at++)
        printf("%u is %s\n", at->if_index, at->if_name);
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    for (const char **name = (const char *[]){"127.0.0.1", "::1", "fe80::1%lo", NULL}; *name; name++) {
        char text[128];
        int error = getaddrinfo(*name, "80", &hints, &found);
        printf("getaddrinfo %s: %s\n", *name, error ? gai_strerror(error) : "found");
        for (struct addrinfo *at = error ? NULL : found; at; at = at->ai_next) {
            getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
            printf(" %s\n", text);
        }
    }
}

int main(void) {
    names();
    sock = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    part("lists");
    ask("links", RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, AF_UNSPEC);
    ask("links, as AF_PACKET", RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, AF_PACKET);
    ask("addresses", RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, AF_UNSPEC);
    ask("addresses of IPv4", RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, AF_INET);
    ask("addresses of IPv6", RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP | NLM_F_ACK, AF_INET6);
    ask("routes of IPv4", RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, AF_INET);
    ask("routes of IPv6", RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, AF_INET6);
    ask("neighbours", RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, AF_UNSPEC);
    part("one");
    ask_link("the link 1", 1, NULL);
    ask_link("the link lo", 0, "lo");
    ask_link("a link that is not there", 77, NULL);
    ask_link("a name that is not there", 0, "none001");
    ask_link("no link", 0, NULL);
    part("what is refused");
    ask("not a request", RTM_GETLINK, NLM_F_DUMP, AF_UNSPEC);
    ask("not a request, to be acknowledged", RTM_GETLINK, NLM_F_ACK, AF_UNSPEC);
    ask("nothing, to be acknowledged", NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, AF_UNSPEC);
    struct request unknown = {};
    ask_with("no kind", &unknown, 1000, NLM_F_REQUEST, sizeof unknown.link);
    call(sendto, "half a header", sock, "12345678", 8, 0, NULL, 0);
    call(recvfrom, "half a header", sock, (char[8]){}, 8, MSG_DONTWAIT, NULL, NULL);
    int on = 1;
    must(setsockopt(sock, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on));
    ask_link("a link that is not there, with NETLINK_CAP_ACK", 77, NULL);
    library();
    return 0;
}
