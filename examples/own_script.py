"""A training script of one's own: regression on scikit-learn's diabetes data.

It runs alone (`python own_script.py`), as a trial on this machine, and as a trial on a cluster, unchanged.
"""

import argparse

import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

from kubestudy_trainer import Trial


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()

    trial = Trial.current()
    params = {"hidden": 16, "lr": 0.01, "activation": "tanh"} | trial.params

    x, y = load_diabetes(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), (y - y.mean()) / y.std()
    split = train_test_split(x, y, test_size=0.25, random_state=0)
    x_train, x_val, y_train, y_val = (torch.tensor(part, dtype=torch.float32) for part in split)

    torch.manual_seed(0)
    activation = {"tanh": nn.Tanh, "relu": nn.ReLU}[params["activation"]]
    model = nn.Sequential(nn.Linear(10, params["hidden"]), activation(), nn.Linear(params["hidden"], 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=params["lr"])

    val_mse = float("inf")
    for epoch in range(1, args.epochs + 1):
        for batch in torch.randperm(len(x_train)).split(32):
            loss = nn.functional.mse_loss(model(x_train[batch]).squeeze(1), y_train[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            val_mse = nn.functional.mse_loss(model(x_val).squeeze(1), y_val).item()
        trial.report(epoch, val_mse=val_mse)
        if trial.should_stop:
            trial.stop()
    trial.finish(val_mse=val_mse)


if __name__ == "__main__":
    main()
