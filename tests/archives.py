#!/usr/bin/env python3
"""archives.py ARCHIVE NAME OUT: writes two archives of the image in ARCHIVE, which has both layouts: OUT.oci.tar has the OCI
layout alone and calls it NAME/oci:1, OUT.docker.tar has docker's alone and calls it NAME/docker:1."""
import io
import json
import sys
import tarfile

archive, name, out = sys.argv[1:]
OCI = ("oci-layout", "index.json")
DOCKER = ("manifest.json",)

with tarfile.open(archive) as source:
    for form, without in (("oci", DOCKER), ("docker", OCI)):
        with tarfile.open(f"{out}.{form}.tar", "w") as target:
            for member in source:
                if member.name in without:
                    continue
                content = source.extractfile(member).read()
                if member.name == "index.json":
                    index = json.loads(content)
                    for manifest in index["manifests"]:
                        # As podman and skopeo write it: containerd's own annotation is not in it.
                        manifest["annotations"] = {"org.opencontainers.image.ref.name": f"{name}/oci:1"}
                    content = json.dumps(index).encode()
                if member.name == "manifest.json":
                    images = json.loads(content)
                    for image in images:
                        image["RepoTags"] = [f"{name}/docker:1"]
                    content = json.dumps(images).encode()
                member.size = len(content)
                target.addfile(member, io.BytesIO(content))
