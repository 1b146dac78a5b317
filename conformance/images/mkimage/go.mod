module decapod/conformance/images/mkimage

go 1.24
