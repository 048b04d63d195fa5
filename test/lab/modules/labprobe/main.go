// Labprobe measures what a migration costs: it sends streams of small tries through the pod network, Services, node
// ports and DNS of a cluster, and lists every gap in their answers with the time of its first and of its next good try.
//
//	labprobe serve   [--udp :9000] [--tcp :9001] [--http :8080]
//	labprobe control [--listen 127.0.0.1:7070]
//
// serve runs in the probe pods. It echoes UDP packets and TCP bytes, says over HTTP who answered (/) and from which
// address the client came (/source), and serves the control API on the HTTP port. control serves the control API alone,
// for tries that start outside of the cluster: node ports, host ports, and the canary, a stream that passes no overlay
// and no kube-proxy. What the canary loses, the machine lost by starvation: such a run says nothing about the network.
//
// The control API speaks JSON. Bad input is answered 400 with {"error": "one sentence"}.
//
//	POST   /streams       starts a stream, replaces the one of the same name, and answers its counters:
//	                      {"name": "web", "kind": "http", "to": "10.96.0.80:80", "perSecond": 20, "expectPrefix": "web-"}
//	GET    /streams       answers the counters of all streams, sorted by name
//	DELETE /streams       stops all, waits for the last answers (1.2 s at most), answers the last counters, forgets them
//	DELETE /streams/NAME  the same for one stream; answers a list of one
//
// The kinds, and what one try is:
//
//	udp         a numbered packet of 200 bytes; lost without its echo within 1 s (one socket for the whole stream)
//	tcp         a new connection and one round trip within 1 s
//	connection  one message and its echo on a long-lived connection, never two at a time; reconnects after a break
//	http        a GET of / on a new connection within 1 s; any other status than 2xx, or a body that does not start
//	            with expectPrefix, is a failure
//	dns         an A look-up of "question" over UDP within 1 s, from a new socket, without a second attempt
//
// Answers are judged when this program reads them. When it is starved of CPU it sends late (worstSendDelayMs), catches
// up in a burst, and may read a good echo too late (late).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: labprobe serve   [--udp :9000] [--tcp :9001] [--http :8080]
       labprobe control [--listen 127.0.0.1:7070]
`

var errUsage = errors.New("bad usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stderr)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "labprobe:", err)
		os.Exit(1)
	}
}

// run is the program: it returns when ctx is done, or at once when it cannot start.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	at, err := parse(args, stderr)
	if err != nil {
		return err
	}
	p, err := listen(at)
	if err != nil {
		return err
	}
	fmt.Fprintln(stderr, "labprobe: control API on", p.http.Addr())
	return p.run(ctx)
}

// addresses says where to listen; an empty one is not served.
type addresses struct{ udp, tcp, http string }

func parse(args []string, stderr io.Writer) (addresses, error) {
	var at addresses
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return at, errUsage
	}
	flags := flag.NewFlagSet("labprobe "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	switch args[0] {
	case "serve":
		flags.StringVar(&at.udp, "udp", ":9000", "address of the UDP echo")
		flags.StringVar(&at.tcp, "tcp", ":9001", "address of the TCP echo")
		flags.StringVar(&at.http, "http", ":8080", "address of the HTTP server and the control API")
	case "control":
		flags.StringVar(&at.http, "listen", "127.0.0.1:7070", "address of the control API")
	default:
		fmt.Fprint(stderr, usage)
		return at, errUsage
	}
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return at, err
		}
		return at, errUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "labprobe: %q is not understood\n%s", flags.Arg(0), usage)
		return at, errUsage
	}
	return at, nil
}

// probe is the running program: its listeners and its streams. udp and tcp are nil when only the control API is served.
type probe struct {
	udp     *net.UDPConn
	tcp     net.Listener
	http    net.Listener
	server  http.Server
	streams registry
}

// listen opens every port, so that a port that is taken is known before anything runs.
func listen(at addresses) (p *probe, err error) {
	p = &probe{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	mux := http.NewServeMux()
	p.streams.handle(mux)
	if at.udp != "" {
		if p.udp, err = listenUDP(at.udp); err != nil {
			return p, err
		}
	}
	if at.tcp != "" {
		if p.tcp, err = net.Listen("tcp", at.tcp); err != nil {
			return p, err
		}
		handleIdentity(mux)
	}
	if p.http, err = net.Listen("tcp", at.http); err != nil {
		return p, err
	}
	p.server = http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return p, nil
}

// run serves until ctx is done; then it stops the streams, lets requests end for a second, and closes the ports.
func (p *probe) run(ctx context.Context) error {
	defer p.close()
	if p.udp != nil {
		go echoUDP(p.udp)
	}
	if p.tcp != nil {
		go echoTCP(p.tcp)
	}
	failed := make(chan error, 1)
	go func() { failed <- p.server.Serve(p.http) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	p.streams.stop("")
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = p.server.Shutdown(last) // who still talks after a second is cut off
	return nil
}

func (p *probe) close() {
	if p.udp != nil {
		p.udp.Close()
	}
	if p.tcp != nil {
		p.tcp.Close()
	}
	if p.http != nil {
		p.http.Close()
	}
}
