package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxBody bounds what is kept of an answer: a name fits, an error page need not.
const maxBody = 200 // bytes

// tryHTTP asks who answers. It speaks HTTP on its own connection: no reuse, no redirects, no proxy, one deadline.
func tryHTTP(s spec, deadline time.Time) (string, error) {
	conn, err := connect(s.To, deadline)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	request, err := http.NewRequest(http.MethodGet, "http://"+s.To+"/", nil)
	if err != nil {
		return "", err
	}
	request.Close = true
	if err := request.Write(conn); err != nil {
		return "", explain(err, notAnswered)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return "", explain(err, notAnswered)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return "", explain(err, notAnswered)
	}
	answer := strings.TrimSpace(strings.ToValidUTF8(string(body), "?"))
	if !strings.HasPrefix(answer, s.ExpectPrefix) {
		return answer, misrouted(answer)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return answer, fmt.Errorf("answered with status %d", response.StatusCode)
	}
	return answer, nil
}
