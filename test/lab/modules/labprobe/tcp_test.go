package main

import (
	"net"
	"testing"
	"time"
)

func TestTCPMakesRoundTrips(t *testing.T) {
	listener := listenTCP(t)
	go echoTCP(listener)
	s := running(t, spec{Kind: "tcp", To: listener.Addr().String(), PerSecond: 100})
	eventually(t, "answers", func() bool { return s.snapshot().OK >= 10 })

	if got := finish(s); got.Lost != 0 || got.OK != got.Sent || got.FirstOkAt == "" || got.P50Ms <= 0 {
		t.Errorf("counted %+v", got)
	}
}

func TestTCPTellsItsFailuresApart(t *testing.T) {
	silentOne := listenTCP(t) // the kernel accepts, nobody reads
	closing := listenTCP(t)
	go func() {
		for {
			conn, err := closing.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, messageSize))
			conn.Close()
		}
	}()
	for _, c := range []struct{ name, to, want string }{
		{"refused", closedPort(t), "connect: connection refused"},
		{"silent", silentOne.Addr().String(), notAnswered},
		{"closed", closing.Addr().String(), "the other side closed the connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := tryTCP(spec{To: c.to}, time.Now().Add(200*time.Millisecond))

			if err == nil || err.Error() != c.want {
				t.Errorf("failed with %v, want %q", err, c.want)
			}
		})
	}
}

// relay echoes on each connection with its own function.
func relay(t *testing.T, echo func(nth int, conn net.Conn, message []byte) error) string {
	listener := listenTCP(t)
	go func() {
		for nth := 0; ; nth++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				message := make([]byte, messageSize)
				for {
					if _, err := conn.Read(message); err != nil {
						return
					}
					if echo(nth, conn, message) != nil {
						return
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func TestConnectionCountsStallsAndBreaks(t *testing.T) {
	messages := 0
	to := relay(t, func(nth int, conn net.Conn, message []byte) error {
		if nth == 0 {
			messages++
			switch messages {
			case 5:
				time.Sleep(250 * time.Millisecond)
			case 10:
				return net.ErrClosed
			}
		}
		_, err := conn.Write(message)
		return err
	})
	s := running(t, spec{Kind: "connection", To: to, PerSecond: 100})
	eventually(t, "answers after the break", func() bool { return s.snapshot().OK >= 20 })

	got := finish(s)

	if got.Breaks != 1 || got.Lost != 1 || len(got.Gaps) != 1 || got.Gaps[0].Open {
		t.Errorf("counted %+v", got)
	}
	if got.Stalls < 1 || got.StallSpans[0].Ms < 250 {
		t.Errorf("stalls are %+v", got.StallSpans)
	}
}

func TestConnectionReconnectsUntilSomebodyListens(t *testing.T) {
	to := closedPort(t)
	s := running(t, spec{Kind: "connection", To: to, PerSecond: 100})
	eventually(t, "failures", func() bool { return s.snapshot().Lost >= 3 })
	listener, err := net.Listen("tcp", to)
	if err != nil {
		t.Skip("the port was taken meanwhile:", err)
	}
	defer listener.Close()
	go echoTCP(listener)
	eventually(t, "an answer", func() bool { return s.snapshot().OK > 0 })

	if got := finish(s); got.Breaks != 0 || len(got.Gaps) != 1 || got.Gaps[0].Open || got.Gaps[0].Lost != got.Lost {
		t.Errorf("counted %+v", got)
	}
}

func TestConnectionThatHangsStopsInTime(t *testing.T) {
	to := relay(t, func(int, net.Conn, []byte) error { return nil })
	s := running(t, spec{Kind: "connection", To: to, PerSecond: 100})
	eventually(t, "a message is on its way", func() bool { return s.snapshot().Pending == 1 })
	asked := time.Now()

	got := finish(s)

	if took := time.Since(asked); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if got.Breaks != 0 || got.Lost != 1 || got.LastError != stoppedBefore {
		t.Errorf("counted %+v", got)
	}
}
