package main

import (
	"encoding/binary"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventually waits for something that a stream reaches by itself.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

// running starts a stream that ends with the test.
func running(t *testing.T, s spec) *stream {
	t.Helper()
	s.Name = "it"
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	started := start(s)
	t.Cleanup(func() { finish(started) })
	return started
}

// finish stops a stream and answers its last counters.
func finish(s *stream) snapshot {
	s.cancel()
	<-s.done
	return s.snapshot()
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// serveUDP answers each packet with what the function sends to it.
func serveUDP(t *testing.T, answer func(packet []byte, reply func([]byte))) string {
	t.Helper()
	conn, err := listenUDP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buffer := make([]byte, 2048)
		for {
			size, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			packet := append([]byte(nil), buffer[:size]...)
			answer(packet, func(b []byte) { _, _ = conn.WriteToUDPAddrPort(b, from) })
		}
	}()
	return conn.LocalAddr().String()
}

// closedPort answers an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener := listenTCP(t)
	listener.Close()
	return listener.Addr().String()
}

func TestUDPCountsLostAndLateAndDoubleEchoes(t *testing.T) {
	to := serveUDP(t, func(packet []byte, reply func([]byte)) {
		switch number := binary.BigEndian.Uint64(packet[numberAt:]); {
		case number >= 20 && number < 30:
		case number == 40:
			time.AfterFunc(1300*time.Millisecond, func() { reply(packet) })
		case number == 50:
			reply(packet)
			time.AfterFunc(1300*time.Millisecond, func() { reply(packet) })
		default:
			reply(packet)
		}
	})
	s := running(t, spec{Kind: "udp", To: to, PerSecond: 200})
	eventually(t, "a late echo", func() bool { return s.snapshot().Late == 1 })
	time.Sleep(200 * time.Millisecond) // the second echo of 50

	got := finish(s)

	if got.Lost != 11 || got.Late != 1 || got.Pending != 0 || got.Sent != got.OK+got.Lost {
		t.Errorf("counted %+v", got)
	}
	if len(got.Gaps) != 2 || got.Gaps[0].Lost != 10 || got.Gaps[1].Lost != 1 || got.Gaps[0].Error != noEcho {
		t.Fatalf("gaps are %+v", got.Gaps)
	}
	from, _ := time.Parse(time.RFC3339Nano, got.Gaps[0].From)
	to2, _ := time.Parse(time.RFC3339Nano, got.Gaps[0].To)
	if length := to2.Sub(from); length < 5*time.Millisecond || length > time.Second {
		t.Errorf("a gap of 10 packets at 200/s lasted %v", length)
	}
}

func TestUDPStopWaitsForTheLastEchoes(t *testing.T) {
	to := serveUDP(t, func(packet []byte, reply func([]byte)) {
		time.AfterFunc(300*time.Millisecond, func() { reply(packet) })
	})
	s := running(t, spec{Kind: "udp", To: to, PerSecond: 100})
	eventually(t, "packets are on their way", func() bool { return s.snapshot().Pending > 5 })

	got := finish(s)

	if got.Lost != 0 || got.Pending != 0 || got.OK != got.Sent {
		t.Errorf("counted %+v", got)
	}
	if got.P50Ms < 250 || got.MaxMs < got.P99Ms {
		t.Errorf("p50 %v, p99 %v, max %v", got.P50Ms, got.P99Ms, got.MaxMs)
	}
}

func TestUDPSaysWhyNothingComesBack(t *testing.T) {
	s := running(t, spec{Kind: "udp", To: closedPort(t), PerSecond: 50})
	eventually(t, "a loss", func() bool { return s.snapshot().Lost > 0 })

	got := finish(s)

	if !strings.Contains(got.LastError, "connection refused") {
		t.Errorf("the last error is %q", got.LastError)
	}
	if got.OK != 0 || len(got.Gaps) != 1 || !got.Gaps[0].Open || got.Gaps[0].Lost != got.Sent {
		t.Errorf("counted %+v", got)
	}
}

func TestUDPCountsPacketsThatCannotBeSent(t *testing.T) {
	s := running(t, spec{Kind: "udp", To: "[fe80::1]:9", PerSecond: 50}) // no zone, thus no route
	eventually(t, "losses", func() bool { return s.snapshot().Lost >= 3 })

	if got := finish(s); got.OK != 0 || got.Lost != got.Sent || got.LastError == "" || got.LastError == noEcho {
		t.Errorf("counted %+v", got)
	}
}

// refusing fails its first writes.
type refusing struct {
	net.Conn
	times int
}

func (r *refusing) Write(b []byte) (int, error) {
	if r.times--; r.times >= 0 {
		return 0, syscall.ECONNREFUSED
	}
	return len(b), nil
}

func TestUDPSendsAgainAfterTheErrorOfAnEarlierPacket(t *testing.T) {
	for times, fails := range []bool{false, false, true} {
		p := &udpProbe{conn: &refusing{times: times}}

		if err := p.send(make([]byte, packetSize)); (err != nil) != fails {
			t.Errorf("after %d errors: %v", times, err)
		}
	}
}
