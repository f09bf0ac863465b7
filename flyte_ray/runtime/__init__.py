"""Ray carries out: the only floor that imports ray.

Remote functions, pools of actors, the host actor, the code bundle. What Ray raises is translated
here into errors of ours; nothing of Ray leaves this floor upward but through ports.
"""
