module decapod/conformance/report

go 1.26
