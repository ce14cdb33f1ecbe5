/* Work for the processor and its memory, about a second each: work KIND prints a checksum. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void *allocate(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL)
        exit(1);
    return memory;
}

static uint64_t integer(void) {
    uint64_t sum = 0;
    for (long n = 0; n < 200000000; n++)
        sum += next_random() % 1021;
    return sum;
}

static uint64_t matrix(void) {
    enum { SIZE = 768 };
    static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (double)(next_random() % 1000);
            b[i][j] = (double)(next_random() % 1000);
        }
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < SIZE; i++)
            for (int k = 0; k < SIZE; k++)
                for (int j = 0; j < SIZE; j++)
                    c[i][j] += a[i][k] * b[k][j];
    return (uint64_t)c[SIZE / 2][SIZE / 3];
}

/* Points of a grid that stay in the Mandelbrot set. */
static uint64_t floating(void) {
    enum { SIDE = 1600, ROUNDS = 256 };
    uint64_t inside = 0;
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++) {
            double x = 0, y = 0;
            double re = column * 3.0 / SIDE - 2, im = row * 3.0 / SIDE - 1.5;
            int round = 0;
            for (; round < ROUNDS && x * x + y * y < 4; round++) {
                double next = x * x - y * y + re;
                y = 2 * x * y + im;
                x = next;
            }
            inside += round == ROUNDS;
        }
    return inside;
}

static uint64_t copy(void) {
    const size_t size = 64 << 20;
    char *from = allocate(size), *to = allocate(size);
    memset(from, 7, size);
    for (int round = 0; round < 60; round++) {
        from[round] = (char)round;
        memcpy(to, from, size);
    }
    return (uint64_t)to[59] + (uint64_t)to[size - 1];
}

/* Loads that each need the one before, over 64 MiB in one random cycle (Sattolo's). */
static uint64_t chase(void) {
    const uint32_t count = 16 << 20;
    uint32_t *next = allocate((size_t)count * sizeof *next);
    for (uint32_t n = 0; n < count; n++)
        next[n] = n;
    for (uint32_t n = count - 1; n > 0; n--) {
        uint32_t other = (uint32_t)(next_random() % n), kept = next[n];
        next[n] = next[other];
        next[other] = kept;
    }
    uint32_t at = 0;
    for (long n = 0; n < 8000000; n++)
        at = next[at];
    return at;
}

int main(int argc, char **argv) {
    struct {
        const char *name;
        uint64_t (*run)(void);
    } kinds[] = {
        {"integer", integer}, {"matrix", matrix}, {"float", floating},
        {"memcpy", copy},     {"chase", chase},
    };
    for (size_t n = 0; n < sizeof kinds / sizeof *kinds; n++)
        if (argc == 2 && !strcmp(argv[1], kinds[n].name)) {
            printf("%llu\n", (unsigned long long)kinds[n].run());
            return 0;
        }
    return 2;
}
