package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/skald-go/skald/internal/workload"
)

// Worker is a process that runs sagas which others start.
type Worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
	printed bytes.Buffer
}

// answer is what the process says: at first that it has joined, then once for each line that it is sent.
type answer struct {
	Error string        `json:"error,omitempty"`
	CPU   time.Duration `json:"cpu"`
}

// patience is how long a worker process may take to end.
const patience = 20 * time.Second

// StartWorker runs this program again, with args that make it call ServeWorker, and returns when it has joined. It takes sagas of the flows of
// package workload, and of those that workload.Sized makes with the steps of p. It ends with Stop, and when this process does.
func StartWorker(p Place, args ...string) (*Worker, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("measure: find this program, to run it as a worker: %w", err)
	}
	w := &Worker{cmd: exec.Command(program, args...)}
	w.cmd.Stderr = &w.printed
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		w.in, err = w.cmd.StdinPipe()
	}
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("measure: run %s as a worker: %w", program, err)
	}
	w.answers = json.NewDecoder(out)
	if _, err := w.ask(p); err != nil {
		return nil, errors.Join(err, w.Stop())
	}
	return w, nil
}

// CPU is the processor time that the process has used.
func (w *Worker) CPU() (time.Duration, error) { return w.ask("cpu") }

func (w *Worker) ask(question any) (time.Duration, error) {
	if err := json.NewEncoder(w.in).Encode(question); err != nil {
		return 0, fmt.Errorf("measure: ask the worker process: %w", err)
	}
	var a answer
	if err := w.answers.Decode(&a); err != nil {
		return 0, fmt.Errorf("measure: hear from the worker process: %w", err)
	}
	if a.Error != "" {
		return 0, fmt.Errorf("measure: the worker process says: %s", a.Error)
	}
	return a.CPU, nil
}

// Stop ends the process and waits until it has ended.
func (w *Worker) Stop() error {
	w.in.Close()
	kill := time.AfterFunc(patience, func() { w.cmd.Process.Kill() })
	defer kill.Stop()
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("measure: the worker process ended with %w\n%s", err, bytes.TrimSpace(w.printed.Bytes()))
	}
	return nil
}

// ServeWorker is the worker process: it reads what it is told by StartWorker, runs sagas until in ends, and answers what it is asked meanwhile.
func ServeWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	var p Place
	if err := questions.Decode(&p); err != nil {
		return fmt.Errorf("measure: read where the worker is to work: %w", err)
	}
	stop, err := p.work(ctx)
	if err != nil {
		return errors.Join(err, answers.Encode(answer{Error: err.Error()}))
	}
	return errors.Join(serve(questions, answers), stop())
}

func serve(questions *json.Decoder, answers *json.Encoder) error {
	for question := ""; ; {
		cpu, _ := CPU()
		if err := answers.Encode(answer{CPU: cpu}); err != nil {
			return err
		}
		if err := questions.Decode(&question); err != nil {
			return nil // who asked is gone
		}
	}
}

func (p Place) work(ctx context.Context) (stop func() error, err error) {
	if err := CheckAddr(p.Addr); err != nil {
		return nil, err
	}
	success, rollback := workload.Sized(p.Steps, 0)
	b, _, closeBroker := p.open()
	e, err := RunEngine(ctx, b, p.options(), workload.Success, workload.Rollback, success.Flow, rollback.Flow)
	if err != nil {
		return nil, errors.Join(err, closeBroker())
	}
	return func() error { return errors.Join(e.Stop(), closeBroker()) }, nil
}
