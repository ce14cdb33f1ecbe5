/* Compiled by the compiler proper, with nothing included: some of everything
 * that an optimiser does. */
typedef unsigned long size_t;
extern int printf(const char *, ...);
extern void *malloc(size_t);
extern void free(void *);

struct node {
    struct node *left, *right;
    int key, height;
};

static int height(const struct node *node) { return node ? node->height : 0; }

static void update(struct node *node) {
    int left = height(node->left), right = height(node->right);
    node->height = (left > right ? left : right) + 1;
}

static struct node *rotate(struct node *node, int right) {
    struct node *up = right ? node->left : node->right;
    if (right) {
        node->left = up->right;
        up->right = node;
    } else {
        node->right = up->left;
        up->left = node;
    }
    update(node);
    update(up);
    return up;
}

struct node *insert(struct node *node, int key) {
    if (!node) {
        node = malloc(sizeof *node);
        *node = (struct node){.key = key, .height = 1};
        return node;
    }
    if (key < node->key)
        node->left = insert(node->left, key);
    else
        node->right = insert(node->right, key);
    update(node);
    int balance = height(node->left) - height(node->right);
    if (balance > 1) {
        if (key > node->left->key)
            node->left = rotate(node->left, 0);
        return rotate(node, 1);
    }
    if (balance < -1) {
        if (key < node->right->key)
            node->right = rotate(node->right, 1);
        return rotate(node, 0);
    }
    return node;
}

void multiply(double *restrict out, const double *restrict a, const double *restrict b, int n) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            out[i * n + j] = sum;
        }
}

unsigned hash(const unsigned char *bytes, size_t length) {
    unsigned value = 2166136261u;
    while (length--)
        value = (value ^ *bytes++) * 16777619u;
    return value;
}

const char *name(int n) {
    switch (n) {
    case 0: return "zero";
    case 1: return "one";
    case 2: return "two";
    case 3: return "three";
    case 10: return "ten";
    case 100: return "hundred";
    default: return n < 0 ? "negative" : "many";
    }
}

int main(void) {
    struct node *root = 0;
    for (int i = 0; i < 1000; i++)
        root = insert(root, (i * 7919) % 1009);
    double a[64], b[64], c[64];
    for (int i = 0; i < 64; i++) {
        a[i] = i;
        b[i] = 1.0 / (i + 1);
    }
    multiply(c, a, b, 8);
    printf("%d %f %u %s\n", height(root), c[63], hash((const unsigned char *)"abc", 3), name(root->key));
    return 0;
}
