module cutover.dev/lab/labprobe

go 1.25
