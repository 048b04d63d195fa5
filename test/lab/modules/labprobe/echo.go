package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// receiveBuffer holds what arrives while this program waits for CPU: 200 packets/s for far more than a second. The
// kernel grants at most net.core.rmem_max.
const receiveBuffer = 4 << 20 // bytes

func listenUDP(at string) (*net.UDPConn, error) {
	address, err := net.ResolveUDPAddr("udp", at)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", address)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetReadBuffer(receiveBuffer)
}

// echoUDP sends every packet back to where it came from, until conn is closed.
func echoUDP(conn *net.UDPConn) {
	packet := make([]byte, 64<<10)
	for {
		size, from, err := conn.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_, _ = conn.WriteToUDPAddrPort(packet[:size], from) // an echo that cannot be sent is a lost packet, as it should be
		}
	}
}

// echoTCP sends every byte back, until listener is closed.
func echoTCP(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// handleIdentity answers who this is, and as whom it sees the client (ip:port).
func handleIdentity(mux *http.ServeMux) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, host) })
	mux.HandleFunc("GET /source", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.RemoteAddr) })
}
