"""Images: what a container's root is made of, and what runs in it if nobody says otherwise.

From the outside in:

    store       `ImageStore`, the images of this user on this host: pull, load, resolve, remove, lend
    content     its files: blobs by digest, layers by diff id, what is on its way; index: what is called how
    image       `Image`, `ImageConfig`, `Layer`: values; `ImageError`: an image cannot be had
    reference, manifest     the words of registries and of the OCI image specification, parsed and bounded
    archive, registry       where images come from: layouts and `docker save`; the OCI distribution API
    tar, compression, layer a layer's blob becomes a directory; work: in a thread that can be stopped
    builtin, programs       kubelab/shell, web, load, crash: with no network at all
    overlay     in a container's child: layers become a root (standard library only)

How a machine's container gets at its layers. The store lies on the host, and nothing of it is shown to a
machine for good: whiteouts would be lost in the overlay that is a machine's root, and a bind of the host's
own file system could be remounted by root on the machine. Instead each start of a container is lent, by
descriptor, a mount that is in no mount namespace yet:

    with await store.lend(image) as loan:         # The lab's side; closed when the container has ended.
        shim.start(..., fds=[..., loan.fd])       # loan.fd is -1 if the image has no layers.

    overlay.attach(fd)                            # The child, before anything else is mounted.
    container.run(Start(rootfs=Rootfs(lowers=loan.lowers, ...), ...))
    overlay.mount_root(target, lowers, upper, work)              # What `run` mounts its root with.

`loan.lowers` are paths in the child's mount namespace after `attach`, uppermost first. The attached mount
goes away with the child's old root at pivot_root. Another overlay on the store works where the store lies on
a disk and where it lies on an overlay (a lab in a container); where the host's overlays are two deep
already, `overlay.mount_root` copies.

An image that `is_view_of_usr` shows the machine's own /usr: with no layers (kubelab/shell) its root is made
as ever; with layers (kubelab/web) those hold the root's skeleton and the program, and `image.mounts()`, in
the words of the OCI runtime specification's config, must come before the pod's own mounts.
"""
