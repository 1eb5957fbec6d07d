"""`python -m kubestudy` is the command line."""

from kubestudy.cli.app import main

if __name__ == "__main__":
    main()
