// Goroutines, channels, timers, HTTP to itself, processes and signals. Prints nothing that depends
// on time or order. Or, when told to serve, a web server; when told to select, all that a schedule,
// a moment or a processor decides.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// What netlink tells.
func interfaces() {
	all, err := net.Interfaces()
	check(err)
	for _, one := range all {
		addresses, err := one.Addrs()
		check(err)
		fmt.Println(one.Index, one.Name, one.MTU, one.Flags, addresses)
	}
}

func goroutines() {
	var sum int64
	var group sync.WaitGroup
	numbers := make(chan int)
	for n := 0; n < 100; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for number := range numbers {
				atomic.AddInt64(&sum, int64(number))
			}
		}()
	}
	for n := 1; n <= 5000; n++ {
		numbers <- n
	}
	close(numbers)
	group.Wait()
	fmt.Println("sum", sum)
}

// One goroutine spins: the runtime preempts it with a signal.
func preemption() {
	var stop int32
	done := make(chan bool)
	spinner := func() {
		for n := 0; atomic.LoadInt32(&stop) == 0; n++ {
		}
		done <- true
	}
	runtime.GOMAXPROCS(1)
	go spinner()
	runtime.Gosched()
	atomic.StoreInt32(&stop, 1)
	<-done
	runtime.GOMAXPROCS(4)
	fmt.Println("preempted")
}

func timers() {
	start := time.Now()
	short, long := time.After(5*time.Millisecond), time.After(20*time.Millisecond)
	<-short
	<-long
	fmt.Println("at least 20 ms:", time.Since(start) >= 20*time.Millisecond)
	ticker := time.NewTicker(2 * time.Millisecond)
	for n := 0; n < 5; n++ {
		<-ticker.C
	}
	ticker.Stop()
	select {
	case <-make(chan bool):
		fmt.Println("never")
	case <-time.After(time.Millisecond):
		fmt.Println("timeout")
	}
}

func garbage() {
	var keep [][]byte
	for n := 0; n < 2000; n++ {
		block := make([]byte, 16<<10)
		block[n] = 1
		if n%100 == 0 {
			keep = append(keep, block)
		}
	}
	runtime.GC()
	fmt.Println("kept", len(keep), keep[7][700])
}

func web() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		w.Write(bytes.Repeat([]byte("0123456789abcdef"), 64<<10))
	})
	server := &http.Server{Handler: mux}
	go server.Serve(listener)
	base := "http://" + listener.Addr().String()
	var group sync.WaitGroup
	answers := make([]string, 20)
	for n := range answers {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			answer, err := http.Post(base+"/echo", "text/plain", strings.NewReader(fmt.Sprint("request ", n)))
			check(err)
			text, err := io.ReadAll(answer.Body)
			check(err)
			answer.Body.Close()
			answers[n] = string(text)
		}(n)
	}
	group.Wait()
	fmt.Println(strings.Join(answers, ", "))
	answer, err := http.Get(base + "/big")
	check(err)
	text, err := io.ReadAll(answer.Body)
	check(err)
	fmt.Printf("%d %x\n", len(text), sha256.Sum256(text))
	missing, err := http.Get(base + "/missing")
	check(err)
	fmt.Println(missing.Status)
	check(server.Close())
	_, err = net.Dial("tcp", listener.Addr().String())
	fmt.Println("refused:", strings.Contains(err.Error(), "connection refused"))
}

func processes() {
	child := exec.Command("/proc/self/exe", "child")
	child.Stdin = strings.NewReader("some input")
	text, err := child.CombinedOutput()
	fmt.Printf("%q %v\n", text, err)
	_, err = exec.Command("/absent").Output()
	fmt.Println(err)
	sleeper := exec.Command("/proc/self/exe", "sleep")
	check(sleeper.Start())
	check(sleeper.Process.Signal(syscall.SIGTERM))
	fmt.Println(sleeper.Wait())
}

func signals() {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	check(syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	fmt.Println(<-caught)
	defer func() {
		fmt.Println("recovered:", recover())
		os.Exit(3)
	}()
	var nothing *int
	fmt.Println(*nothing)
}

func serve(port string) {
	listener, err := net.Listen("tcp", ":"+port)
	check(err)
	fmt.Println("serving", port)
	check(http.Serve(listener, http.HandlerFunc(func(to http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(to, "hello from Go")
	})))
}

// What came first and when, of channels and timers; random bytes, the order of a map, and numbers.
func selects() {
	start := time.Now()
	words, numbers, done := make(chan string), make(chan int, 2), make(chan bool)
	for n := 0; n < 3; n++ {
		go func(n int) {
			for turn := 0; turn < 4; turn++ {
				time.Sleep(time.Duration(n+1) * 700 * time.Microsecond)
				words <- fmt.Sprintf("worker %d turn %d", n, turn)
			}
			done <- true
		}(n)
	}
	go func() {
		for n := 0; n < 8; n++ {
			numbers <- n
			runtime.Gosched()
		}
	}()
	ticker := time.NewTicker(1500 * time.Microsecond)
	defer ticker.Stop()
	for left := 3; left > 0; {
		select {
		case word := <-words:
			fmt.Println(word, time.Since(start))
		case number := <-numbers:
			fmt.Println("number", number, time.Since(start))
		case <-ticker.C:
			fmt.Println("tick", time.Since(start))
		case <-done:
			left--
		}
	}
	bytes := make([]byte, 8)
	_, err := rand.Read(bytes)
	check(err)
	fmt.Println(time.Now(), os.Getpid(), bytes)
	for key := range map[string]bool{"alpha": true, "beta": true, "gamma": true, "delta": true} {
		fmt.Println(key)
	}
	x := 1.2345
	fmt.Println(math.Sin(x), math.Exp(x), math.Tanh(x), math.Gamma(x), math.FMA(x, x, -x), x*x-x)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "select" {
		selects()
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	if len(os.Args) > 1 && os.Args[1] == "child" {
		input, _ := io.ReadAll(os.Stdin)
		fmt.Printf("child read %s", input)
		os.Exit(7)
	}
	if len(os.Args) > 1 && os.Args[1] == "sleep" {
		time.Sleep(time.Hour)
	}
	interfaces()
	goroutines()
	preemption()
	timers()
	garbage()
	web()
	processes()
	signals()
}
