/* linked.c: a model that is linked into the program: no file to load. */
#include "lenet.h" /* written by `jitc lenet.pt -o lenet.o` */

#include <stdio.h>

int main(void) {
    static float image[28 * 28], scores[10];
    int64_t shape[] = {1, 1, 28, 28}, classes[] = {1, 10};
    jitc_module *m = NULL;
    jitc_session *s = NULL;
    jitc_tensor *x = NULL, *y = NULL;
    int best = 0, i;
    for (i = 0; i < 28 * 28; i++) image[i] = (float)(i % 29 == 0);
    if (jitc_load_lenet(&m) != JITC_OK || jitc_session_new(m, NULL, &s) != JITC_OK ||
        jitc_tensor_wrap(JITC_F32, 4, shape, NULL, image, NULL, NULL, &x) != JITC_OK ||
        jitc_tensor_wrap(JITC_F32, 2, classes, NULL, scores, NULL, NULL, &y) != JITC_OK)
        return fprintf(stderr, "%s\n", jitc_error()), 1;
    if (jitc_run_tensors(s, "forward", 1, &x, 1, &y) != JITC_OK) return fprintf(stderr, "%s\n", jitc_session_error(s)), 1;
    for (i = 1; i < 10; i++)
        if (scores[i] > scores[best]) best = i;
    printf("  the image looks like a %d\n", best);
    jitc_tensor_release(x);
    jitc_tensor_release(y);
    jitc_session_free(s);
    jitc_module_release(m);
    return 0;
}
